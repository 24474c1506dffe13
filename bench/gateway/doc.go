// Package gateway measures the whole gateway, as it is shipped, over sockets of
// the loopback: its own processor time and its own allocations for a request.
//
//	go test ./bench/gateway -run '^$' -bench .
//
// The gateway, the provider and the client are processes of their own. cpu-us/op
// is the gateway's user and system time by what it answered (from /proc, in
// steps of 10 ms: measure for a second or more); gateway-allocs/op are of its page of
// metrics. Both include what it does beside the requests: collector, metrics,
// usage ledger. ns/op is the time that a client waits, one request after the
// other on one connection, and says least.
//
// There is no code here but in the tests.
package gateway
