//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package usage

import (
	"errors"
	"os"
	"syscall"
)

// lockFile makes the file, if it is not there, and locks it until it is
// closed or the process dies, whatever kills it. It does not wait: a lock that
// another holds is errAlive.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			break
		}
	}
	if err == nil {
		return file, nil
	}
	file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errAlive
	}
	return nil, &os.PathError{Op: "lock", Path: path, Err: err}
}
