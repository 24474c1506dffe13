package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// firstInherited is the number of the first descriptor that is passed on.
const firstInherited = 3

// operatorsSocket is the FileDescriptorName of the operators' socket; whatever
// else a socket is called, it is the clients'.
const operatorsSocket = "admin"

// inherited returns the listening sockets that were passed to this process by
// systemd's socket activation (sd_listen_fds_with_names), if any. Processes that
// share one share its queue: no connection is lost when one of them closes it.
func inherited() (*listeners, error) {
	names, err := passedNames(os.LookupEnv, os.Getpid()) // a supervisor's word to this process, no setting
	if err != nil {
		return nil, err
	}
	var l listeners
	for i, name := range names {
		ln, err := inheritedListener(firstInherited + i)
		if err != nil {
			l.close()
			return nil, err
		}
		if name == operatorsSocket {
			l.operators = ln
		} else {
			l.clients = ln
		}
	}
	return &l, nil
}

// passedNames are the names of the sockets that were passed to this process, in
// their order: one for each listener at most.
func passedNames(lookup func(string) (string, bool), pid int) ([]string, error) {
	count, _ := lookup("LISTEN_FDS")
	owner, _ := lookup("LISTEN_PID")
	if count == "" || owner != strconv.Itoa(pid) {
		return nil, nil // nothing, or another process's
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > 2 {
		return nil, fmt.Errorf("LISTEN_FDS: %s sockets were passed, one is needed, and one named %s may be", count, operatorsSocket)
	}
	given, _ := lookup("LISTEN_FDNAMES")
	names := strings.Split(given, ":")
	if given == "" {
		names = make([]string, n)
	}
	if len(names) != n {
		return nil, fmt.Errorf("LISTEN_FDNAMES: %d names for %d sockets", len(names), n)
	}
	if n == 2 && (names[0] == operatorsSocket) == (names[1] == operatorsSocket) {
		return nil, fmt.Errorf("LISTEN_FDNAMES: of two sockets one must be named %s (FileDescriptorName)", operatorsSocket)
	}
	return names, nil
}

func inheritedListener(number int) (net.Listener, error) {
	file := os.NewFile(uintptr(number), "LISTEN_FDS")
	defer file.Close()
	ln, err := net.FileListener(file) // a duplicate, not passed on any further
	if err != nil {
		return nil, fmt.Errorf("LISTEN_FDS: %w", err)
	}
	if _, ok := ln.(*net.TCPListener); !ok {
		ln.Close()
		return nil, fmt.Errorf("LISTEN_FDS: a %s socket was passed, TCP is needed", ln.Addr().Network())
	}
	return ln, nil
}
