package testbed

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	f := func(line string, pid, parent int, used time.Duration) {
		t.Helper()
		p, pp, u, err := parseStat([]byte(line))
		if err != nil || p != pid || pp != parent || u != used {
			t.Fatalf("%q: %d, %d, %v, %v", line, p, pp, u, err)
		}
	}
	f("12 (nginx) S 1 12 12 0 -1 4194560 100 0 0 0 250 50 7 7 20 0 1 0 1 2 3", 12, 1, 3*time.Second)
	f("7 (a (b) c) R 3 1 1 0 -1 0 0 0 0 0 1 0 0 0 20 0", 7, 3, 10*time.Millisecond)

	for _, bad := range []string{"", "7 R 3", "7 (x) R 3 1", "x (x) R 3 1 1 0 -1 0 0 0 0 0 1 0 0 0 20 0"} {
		if _, _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// This process uses processor time, and has it counted with its children's.
func TestCPUOf(t *testing.T) {
	before, err := cpuOf(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
	}
	after, err := cpuOf(os.Getppid())
	if err != nil || after <= before {
		t.Fatalf("%v, then %v (%v)", before, after, err)
	}
	if _, err := cpuOf(1 << 30); err == nil {
		t.Fatal("a process that is not there was measured")
	}
}

// What a server holds is counted in bytes, and this process holds some.
func TestRSS(t *testing.T) {
	s, err := Self("")
	if err != nil {
		t.Fatal(err)
	}
	held := make([]byte, 64<<20)
	for i := range held {
		held[i] = 1
	}
	if got, err := s.RSS(); err != nil || got < int64(len(held)) || got > 4<<30 {
		t.Fatalf("%d bytes (%v)", got, err)
	}
}
