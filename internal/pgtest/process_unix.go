//go:build unix && !linux

package pgtest

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// attributes says whom a server process runs as.
func attributes(account *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: account}
}

// children returns the processes that a stopped process has started.
func children(pid int) (all []int, err error) {
	list, err := exec.Command("pgrep", "-P", strconv.Itoa(pid)).Output()
	for _, word := range strings.Fields(string(list)) {
		if n, err := strconv.Atoi(word); err == nil {
			all = append(all, n)
		}
	}
	return all, err
}
