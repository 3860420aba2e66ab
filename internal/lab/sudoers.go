package lab

import (
	"strings"
	"sync"

	"whybot/commands/diagnose"
	"whybot/commands/fix"
	"whybot/commands/sudoers"
	"whybot/runners/ssh"
)

// sudoersFiles are the files of /etc/sudoers.d on every machine, by name: what
// `whybot sudoers` prints for the lab's users, to the letter. That whybot works
// here shows that they are enough.
var sudoersFiles = sync.OnceValues(func() (map[string]string, error) {
	of := sudoers.Source{Diagnoses: diagnose.All(), Kinds: fix.Kinds(), Capture: ssh.CaptureCommands, Helper: ssh.HelperCalls}
	probe, err := of.ProbeFile(probeUser)
	if err != nil {
		return nil, err
	}
	fix, err := of.FixFile(FixUser)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, f := range []sudoers.File{probe, fix} {
		var b strings.Builder
		if err := f.Write(&b); err != nil {
			return nil, err
		}
		files[f.Name] = b.String()
	}
	return files, nil
})
