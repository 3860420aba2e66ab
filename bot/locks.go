package bot

import "sync"

// locks holds one mutex for each message that is being drawn.
type locks struct {
	mu    sync.Mutex
	inUse map[string]*lock
}

type lock struct {
	sync.Mutex
	users int
}

// lock locks key and returns what unlocks it.
func (l *locks) lock(key string) (unlock func()) {
	l.mu.Lock()
	if l.inUse == nil {
		l.inUse = map[string]*lock{}
	}
	k := l.inUse[key]
	if k == nil {
		k = &lock{}
		l.inUse[key] = k
	}
	k.users++
	l.mu.Unlock()
	k.Lock()
	return func() {
		k.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.users--; k.users == 0 {
			delete(l.inUse, key)
		}
	}
}
