package pgtest

import (
	"errors"
	"syscall"
	"testing"
)

// Crash ends every process of the server at once with SIGKILL: nothing is said
// to clients and nothing is finished. The next Start recovers what was
// committed.
func (s *Server) Crash(t testing.TB) {
	t.Helper()
	s.signalAll(t, syscall.SIGKILL)
	if err := s.end(syscall.SIGKILL); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// Freeze stops every process of the server where it is: clients wait, and new
// ones are accepted by the kernel and wait too. Thaw must come before the end
// of the test.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	s.signalAll(t, syscall.SIGSTOP)
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw(t testing.TB) {
	t.Helper()
	s.signalAll(t, syscall.SIGCONT)
}

// signalAll signals all processes of the server. The first is stopped before
// the others are listed, so that it makes no more of them meanwhile, and its
// own signal comes last.
func (s *Server) signalAll(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if s.process == nil {
		t.Fatal("pgtest: the server is not started")
	}
	first := s.process.Process.Pid
	if err := syscall.Kill(first, syscall.SIGSTOP); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	pids, err := children(first)
	if err != nil || len(pids) == 0 {
		t.Fatalf("pgtest: %d processes below the server's first, %v", len(pids), err)
	}
	for _, pid := range append(pids, first) {
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatalf("pgtest: %v", err)
		}
	}
}
