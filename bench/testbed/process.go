package testbed

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Server is a program of the bed, running.
type Server struct {
	Name string
	Addr string
	Key  string // of the client
	// Model and Header are for servers that want more than a key: another name
	// of the model than Model, and further lines of the head, each with CRLF.
	Model, Header string

	cmd *exec.Cmd
	log string // file of what it says
}

// Start runs a program whose output goes to a file, in a session of its own,
// so that an interrupt reaches it through Close alone. cpus is a list as
// taskset takes it, or empty.
func (b *Bed) Start(name, addr, cpus string, env []string, program string, args ...string) (*Server, error) {
	s := &Server{Name: name, Addr: addr, Key: "none", log: filepath.Join(b.Dir, name+".log")}
	out, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if cpus != "" {
		program, args = "taskset", append([]string{"-c", cpus, program}, args...)
	}
	s.cmd = exec.Command(program, args...)
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	b.running = append(b.running, s)
	return s, nil
}

// Self stands for a server that runs in this process, at addr: for tests.
func Self(addr string) (*Server, error) {
	p, err := os.FindProcess(os.Getpid())
	return &Server{Name: "self", Addr: addr, Key: "k", cmd: &exec.Cmd{Process: p}}, err
}

// stop asks the program to end, and ends it if it does not.
func (s *Server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(10*time.Second, func() { s.cmd.Process.Kill() })
	defer timer.Stop()
	s.cmd.Wait() // the exit code of a server that was told to end says nothing
}

// said returns the end of what the program printed.
func (s *Server) said() string {
	out, _ := os.ReadFile(s.log)
	return string(out[max(0, len(out)-2000):])
}

// CPU returns the processor time that the server and its children have used.
func (s *Server) CPU() (time.Duration, error) { return cpuOf(s.cmd.Process.Pid) }

// RSS returns the server's resident memory in bytes.
func (s *Server) RSS() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(status))
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm of %s: %q", s.Name, status)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// Machine names the processor and the compiler.
func Machine() string {
	cpu := "unknown processor"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			cpu = strings.Trim(name, "\t :\n")
			break
		}
	}
	return fmt.Sprintf("%s, %d CPUs, %s", cpu, runtime.NumCPU(), runtime.Version())
}

// tick is the unit of the times in /proc/PID/stat: 1/100 s on every Linux.
const tick = 10 * time.Millisecond

// cpuOf returns the processor time that a process and its children have used.
func cpuOf(pid int) (time.Duration, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	type usage struct {
		parent int
		used   time.Duration
	}
	all := make(map[int]usage, len(stats))
	for _, name := range stats {
		line, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended meanwhile
		}
		id, parent, used, err := parseStat(line)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		all[id] = usage{parent, used}
	}
	if _, ok := all[pid]; !ok {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	var total time.Duration
	for id, u := range all {
		for up := id; up > 0; up = all[up].parent {
			if up == pid {
				total += u.used
				break
			}
		}
	}
	return total, nil
}

// parseStat reads a line of /proc/PID/stat. The second field is the program's
// name in parentheses and may hold anything.
func parseStat(line []byte) (pid, parent int, used time.Duration, err error) {
	open, shut := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || shut < open {
		return 0, 0, 0, fmt.Errorf("no name in %q", line)
	}
	rest := strings.Fields(string(line[shut+1:]))
	if len(rest) < 13 {
		return 0, 0, 0, fmt.Errorf("too short: %q", line)
	}
	var numbers [4]int
	for i, s := range []string{strings.TrimSpace(string(line[:open])), rest[1], rest[11], rest[12]} {
		if numbers[i], err = strconv.Atoi(s); err != nil {
			return 0, 0, 0, err
		}
	}
	return numbers[0], numbers[1], time.Duration(numbers[2]+numbers[3]) * tick, nil
}
