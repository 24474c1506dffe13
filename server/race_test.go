//go:build race

package server_test

// slack is how much longer things may take under the race detector.
const slack = 6
