// Package profiling shows operators what the Go runtime knows of the process:
// where CPU time and memory go, what goroutines wait for, a trace of the
// scheduler, and the variables of package expvar.
//
//	pages := profiling.New(profiling.Options{…})
//	pages.Register(router, guard)
//
// The paths and their answers are those of net/http/pprof and expvar, for their
// tools. What these give away is left out: the command line, which may hold
// keys. Everything has a bound: how long a recording takes, how many bytes it
// keeps, and that there is one at a time.
//
// Who may look is for the guard to say.
package profiling
