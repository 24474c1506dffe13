package downstream

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// scripted is a listener that fails as told, then gives connections that are
// not TCP.
type scripted struct {
	net.Listener
	errs []error
}

func (s *scripted) Accept() (net.Conn, error) {
	if len(s.errs) == 0 {
		a, _ := net.Pipe()
		return a, nil
	}
	err := s.errs[0]
	s.errs = s.errs[1:]
	return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
}

func (s *scripted) Close() error { return nil }

func TestAcceptRetries(t *testing.T) {
	f := func(errs []error, wantErr error, wantPause time.Duration, wantCount int64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			l := NewListener(&scripted{errs: errs}, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			began := time.Now()
			conn, err := l.Accept()
			if !errors.Is(err, wantErr) || (conn == nil) != (err != nil) {
				t.Fatalf("%v: got %v, %v", errs, conn, err)
			}
			if took := time.Since(began); took != wantPause {
				t.Fatalf("%v: paused for %v; want %v", errs, took, wantPause)
			}
			if n := l.Stats().AcceptErrors; n != wantCount {
				t.Fatalf("%v: %d errors counted; want %d", errs, n, wantCount)
			}
			if n := strings.Count(log.String(), "cannot accept"); n != min(1, int(wantCount)) {
				t.Fatalf("%v: logged %d times:\n%s", errs, n, log.String())
			}
		})
	}
	many := func(err error, n int) (errs []error) {
		for range n {
			errs = append(errs, err)
		}
		return errs
	}

	f(nil, nil, 0, 0)
	f([]error{syscall.EMFILE}, nil, 5*time.Millisecond, 1)
	f([]error{syscall.ECONNABORTED, syscall.ENFILE, syscall.ENOBUFS}, nil, 35*time.Millisecond, 3)
	f(many(syscall.EMFILE, 10), nil, (5+10+20+40+80+160+320+640+1000+1000)*time.Millisecond, 10)
	f([]error{syscall.EINVAL}, syscall.EINVAL, 0, 0)
	f([]error{syscall.EMFILE, syscall.EBADF}, syscall.EBADF, 5*time.Millisecond, 1)
}

// Closing ends a pause, too.
func TestCloseEndsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewListener(&scripted{errs: []error{syscall.EMFILE, syscall.EMFILE, syscall.EMFILE}}, Options{})
		time.AfterFunc(time.Millisecond, func() { l.Close(); l.Close() })
		began := time.Now()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Millisecond {
			t.Fatal("took", took)
		}
	})
}

func TestCounts(t *testing.T) {
	l := listen(t, Options{})
	f := func(what string, want Stats) {
		t.Helper()
		if got := l.Stats(); got != want {
			t.Fatalf("%s: %+v; want %+v", what, got, want)
		}
	}
	f("new", Stats{})
	a, aClient := connect(t, l)
	b, bClient := connect(t, l)
	f("two open", Stats{Open: 2, Accepted: 2})
	a.Close()
	a.Close()
	f("one closed, twice", Stats{Open: 1, Accepted: 2})
	b.Close()
	f("both closed", Stats{Accepted: 2})
	aClient.Close()
	bClient.Close()
}

// The process runs out of descriptors: accepting pauses without spinning, and
// goes on when there are some again. It happens in a process of its own.
func TestOutOfDescriptors(t *testing.T) {
	if os.Getenv("DOWNSTREAM_TEST_STARVE") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOutOfDescriptors$", "-test.v")
		cmd.Env = append(os.Environ(), "DOWNSTREAM_TEST_STARVE=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("PASS")) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	l := listen(t, Options{})
	accepted := make(chan net.Conn, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	limit := unix.Rlimit{Cur: 40, Max: 40}
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	var clients []net.Conn
	for {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break // no descriptors left on either side
		}
		clients = append(clients, c)
	}
	eventually(t, "accepting fails", func() bool { return l.Stats().AcceptErrors > 0 })
	before, began := cpuTime(t), time.Now()
	eventually(t, "accepting fails again and again", func() bool {
		<-time.After(10 * time.Millisecond) // idle, so that only Accept uses the processor
		return l.Stats().AcceptErrors > 5
	})
	if used, took := cpuTime(t)-before, time.Since(began); used > took/2 {
		t.Errorf("used %v of processor time in %v", used, took)
	}
	for _, c := range clients {
		c.Close()
	}
	for range clients { // some of them waited in the backlog until now
		within(t, "accepting", accepted).Close()
	}
	must(t, l.Close())
	within(t, "the end", accepted)
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
