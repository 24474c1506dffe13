package pgtest

import "syscall"

// attributes says whom a server process runs as, and that it ends with us: a
// test that is killed leaves no server behind.
func attributes(account *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: account, Pdeathsig: syscall.SIGQUIT}
}
