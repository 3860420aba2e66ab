package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// A fileFault is why a file cannot be used.
type fileFault struct {
	fault
	err error // nil when the system had nothing against it
}

// openRegular opens a file to read, and takes nothing but a regular file: a
// pipe would block, a device would never end.
func openRegular(path string) (*os.File, *fileFault) {
	// O_NONBLOCK keeps the open itself from waiting for a pipe's other end.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, &fileFault{openFault(path, err), err}
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		return f, nil
	}
	_ = f.Close() // nothing was read or written
	if err != nil {
		return nil, &fileFault{openFault(path, err), err}
	}
	what := "is not a regular file"
	if info.IsDir() {
		what = "is a directory"
	}
	return nil, &fileFault{fault{fmt.Sprintf("%q %s", path, what), "name a file"}, nil}
}

func openFault(path string, err error) fault {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault{fmt.Sprintf("%q is not there", path), "check the name; a relative path is relative to the configuration file"}
	case errors.Is(err, fs.ErrPermission):
		return fault{fmt.Sprintf("%q may not be read", path), fmt.Sprintf("let the user that runs whybot (uid %d) read it", os.Geteuid())}
	}
	return fault{fmt.Sprintf("%q cannot be read: %s", path, cause(err)), "check the name and the disk it is on"}
}

// cause returns the system's own words, without the path that package os puts
// in front of them.
func cause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// readable checks that a file can be read.
func readable(path string) *fault {
	f, bad := openRegular(path)
	if bad != nil {
		return &bad.fault
	}
	_ = f.Close() // nothing was read or written
	return nil
}

// socket checks that a path is a socket.
func socket(path string) *fault {
	info, err := os.Stat(path)
	if err != nil {
		f := openFault(path, err)
		return &f
	}
	if info.Mode().Type() != fs.ModeSocket {
		return &fault{fmt.Sprintf("%q is not a socket", path), "name the socket of a running ssh-agent"}
	}
	return nil
}
