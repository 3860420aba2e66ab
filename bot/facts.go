package bot

import (
	"sync"
	"time"

	"whybot/commands"
)

const factsKept = 512 // incidents whose facts are remembered

// facts remembers what an answer said besides its verdict, which the store does
// not keep. After a restart it is left out.
type facts struct {
	mu    sync.Mutex
	known map[string]fact
	order []string
}

type fact struct {
	vm              string
	took            time.Duration
	checked, unseen int
	blind           string // the first thing that could not be seen
}

func (f *facts) keep(incident string, a commands.Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil {
		f.known = map[string]fact{}
	}
	if _, again := f.known[incident]; !again {
		f.order = append(f.order, incident)
	}
	if len(f.order) > factsKept {
		delete(f.known, f.order[0])
		f.order = f.order[1:]
	}
	one := fact{vm: a.VM, took: a.Took, checked: len(a.Checked), unseen: len(a.Unknown)}
	if one.unseen > 0 {
		one.blind = a.Unknown[0].What + ": " + a.Unknown[0].Why
	}
	f.known[incident] = one
}

func (f *facts) of(incident string) fact {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known[incident]
}
