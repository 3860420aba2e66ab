package bot

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"whybot/commands"
)

// What buttons do: the part of an action_id before the dash.
const (
	actApply   = "apply"
	actUndo    = "undo"
	actDecline = "decline"
	actAgain   = "again"
)

const (
	maxLabel   = 75
	maxConfirm = 300
	maxButtons = 3
	rootFixes  = 2 // fixes that the root message has buttons for
)

// offer is what can be decided on an incident now.
type offer struct {
	open    []commands.Proposal // can be applied, those that do not last first
	applied []commands.Proposal // can be undone
	moving  bool                // something is being applied or undone
	over    bool                // there was something, and asking again may help
	stale   bool                // the verdict is from before an undo
}

// offerOf sorts an incident's proposals.
func offerOf(inc commands.Incident, ps []commands.Proposal, now time.Time) offer {
	var o offer
	cured := inc.Verdict != nil && inc.Verdict.State == commands.Healthy
	for _, p := range ps {
		switch p.State {
		case commands.Proposed:
			if p.Expires.Before(now) || cured && !p.Persistent {
				o.over = o.over || !cured
				continue
			}
			o.open = append(o.open, p)
		case commands.Applying, commands.Undoing:
			o.moving = true
		case commands.Applied, commands.Verified, commands.NotCured:
			if len(p.Undo) > 0 {
				o.applied = append(o.applied, p)
			}
			o.over = o.over || p.State != commands.Verified
		default:
			o.over = true
		}
	}
	if cured && len(o.applied) == 0 && slices.ContainsFunc(ps, func(p commands.Proposal) bool { return p.State == commands.Undone }) {
		o.open, o.over, o.stale = nil, true, true
	}
	slices.SortStableFunc(o.open, func(a, b commands.Proposal) int { return order(a) - order(b) })
	return o
}

func order(p commands.Proposal) int {
	if p.Persistent {
		return 1
	}
	return 0
}

// onRoot returns the fixes that have a button on the root message. One that
// lasts is offered there only when there is no other: it is a decision of its
// own.
func (o offer) onRoot() []commands.Proposal {
	fixes := o.open
	if i := slices.IndexFunc(fixes, func(p commands.Proposal) bool { return p.Persistent }); i > 0 {
		fixes = fixes[:i]
	}
	limit := rootFixes
	if len(o.applied) > 0 {
		limit = 1
	}
	return fixes[:min(limit, len(fixes))]
}

// buttons returns the buttons of the root message.
func (o offer) buttons(all []commands.Proposal) slack.Block {
	if o.moving {
		return nil
	}
	var set []slack.BlockElement
	add := func(b *slack.ButtonBlockElement) {
		if len(set) < maxButtons {
			b.ActionID += fmt.Sprintf("-%d", len(set))
			set = append(set, b)
		}
	}
	fixes := o.onRoot()
	for i, p := range fixes {
		b := applyButton(p)
		if i == 0 && len(o.applied) == 0 {
			b.WithStyle(slack.StylePrimary)
		}
		add(b)
	}
	for _, p := range o.applied {
		add(undoButton(p))
	}
	if len(fixes) > 0 && len(o.applied) == 0 {
		add(button(actDecline, "Not now", fixes[0].ID))
	}
	if o.over && len(all) > 0 && (len(fixes) == 0 || len(o.applied) > 0) {
		add(button(actAgain, "Ask again", all[0].ID))
	}
	if len(set) == 0 {
		return nil
	}
	return slack.NewActionBlock("", set...)
}

func button(action, label, id string) *slack.ButtonBlockElement {
	return slack.NewButtonBlockElement(action, id, plain(commands.Clean(label, maxLabel-1)))
}

func applyButton(p commands.Proposal) *slack.ButtonBlockElement {
	b := button(actApply, "Apply: "+p.Title, p.ID)
	b.Confirm = confirmation("Apply this fix?", applyWords(p), "Apply")
	return b
}

func undoButton(p commands.Proposal) *slack.ButtonBlockElement {
	b := button(actUndo, "Undo: "+p.Title, p.ID)
	b.Confirm = confirmation("Undo this fix?", []string{
		sentence("Takes back: " + commands.Clean(p.Title, 90)), "Runs " + commandWords(p.Undo), "The fault it cured may come back.",
	}, "Undo")
	return b
}

func confirmation(title string, text []string, yes string) *slack.ConfirmationBlockObject {
	return slack.NewConfirmationBlockObject(plain(title), plain(commands.Clean(strings.Join(text, " "), maxConfirm-1)), plain(yes), plain("Cancel"))
}

// applyWords says what a click does: what, where, the effect, the way back.
func applyWords(p commands.Proposal) []string {
	words := []string{sentence(commands.Clean(p.Title, 90)), "Runs " + commandWords(p.Commands)}
	if len(p.Touches) > 0 {
		words = append(words, sentence(commands.Clean(p.Touches[0], 60)))
	}
	if left := p.Approvals - len(p.Approved); left > 1 {
		words = append(words, fmt.Sprintf("It is applied when %d more people agree, you included.", left))
	}
	undo := undoWord(p)
	return append(words, strings.ToUpper(undo[:1])+undo[1:]+".")
}

// commandWords shows the first of some commands and counts the others.
func commandWords(commandLines []string) string {
	if len(commandLines) == 0 {
		return "nothing."
	}
	text := commands.Clean(commandLines[0], 90)
	if n := len(commandLines) - 1; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text + "."
}
