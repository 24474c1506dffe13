//go:build race

package gatewaytest

// raced: the test runs under the race detector, and so does the program.
const raced = true
