//go:build unix && !linux

package pgtest

import "syscall"

// attributes says whom a server process runs as.
func attributes(account *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: account}
}
