//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd)

package usage

import (
	"errors"
	"os"
)

// lockFile cannot lock here: without a lock that dies with its process nobody
// could say whose a journal is.
func lockFile(path string) (*os.File, error) {
	return nil, &os.PathError{Op: "lock", Path: path, Err: errors.ErrUnsupported}
}
