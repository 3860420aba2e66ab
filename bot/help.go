package bot

import "context"

// help says what the bot can do, after a first line about what was typed.
func help(first string) message {
	const example = "/why can't web-1 get an IP"
	m := message{text: notice(first + " whybot finds out why a VM gets no IP or cannot ping another, why its console does not open, and why a volume cannot be deleted or stayed. Example: " + example)}
	r := newRich(nil)
	if first != "" {
		r.text(first).newline()
	}
	r.text("whybot follows a VM's DHCP packets hop by hop, says which edge loses them and why, and offers a fix that an approver can apply and undo.").newline()
	r.text("Of a ping between two VMs of a network it says the same, in both directions.").newline()
	r.text("Of a console it tries the connection that its proxy makes, and says what ends it.").newline()
	r.text("Of a volume it says what keeps Cinder from deleting it, or why it stayed when its VM was deleted.").newline()
	r.bold("Ask: ").code(example).text(", ").code("/why can't web-1 ping web-2").text(", ").code("/why does the console of web-1 not open").text(" or ").code("/why can't volume db-data be deleted").newline()
	r.bold("In a thread: ").code("@whybot why can't web-1 get an IP").newline()
	r.bold("History: ").code("/timeline inc-12").text(" or ").code("/timeline web-1")
	m.add(r.done())
	return m
}

// unknownCommand answers a slash command that the app has and the bot has not.
func (b *Bot) unknownCommand(ctx context.Context, a asked) {
	b.out.whisper(ctx, a.from, help("whybot has no such command."))
}
