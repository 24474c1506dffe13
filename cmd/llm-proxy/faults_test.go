package main

import (
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestFaults breaks providers, one fault a file of testdata/faults, and looks
// at what a client sees, what the providers see and what is counted. Beside
// the commands of TestScript they have these:
//
//	ask [stream] [usage] [splice|hold]  asks "Hello!"; usage has the stream tell it, splice and hold are ways to recover
//	gets answer from NAME attempts N    the client got all that this provider says, and can tell that it is all;
//	                                    from a+b: a began to say it, and b went on
//	gets part TEXT from NAME attempts N       so much of it, then an error event
//	gets error STATUS CODE from NAME attempts N
//	crowd N                             so many ask, all at once
//	some OUTCOME                        at least one of them got this: see gets
//	without NAME                        that provider is disabled from now on
//	billed NAME prompt N completion N   the tokens counted for a provider up to now, or billed NAME nothing;
//	                                    each question has one usage record
//
// NAME and N are what x-llm-proxy-provider and x-llm-proxy-attempts say. The
// first line names the fault, for the tables of docs/faults.md: see
// TestFaultTables. Files s01 to s16 are the scenarios of Failover Bench,
// under its numbers.
func TestFaults(t *testing.T) {
	var all sync.WaitGroup
	defer all.Wait()
	testscript.RunT(several{t, &all, make(chan struct{}, 6)}, scripts("testdata/faults"))
}

// several runs as many scripts at once as it has seats, whatever the number of
// CPUs: most of their time they wait for a limit to pass.
type several struct {
	*testing.T
	all   *sync.WaitGroup
	seats chan struct{}
}

func (s several) Parallel() {}

func (s several) Verbose() bool { return testing.Verbose() }

func (s several) Run(name string, script func(testscript.T)) {
	s.all.Go(func() {
		s.seats <- struct{}{}
		defer func() { <-s.seats }()
		s.T.Run(name, func(t *testing.T) { script(several{t, s.all, s.seats}) })
	})
}
