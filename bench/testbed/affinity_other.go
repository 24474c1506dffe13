//go:build !linux

package testbed

import "errors"

// StayOn is for Linux alone: elsewhere nothing can be measured anyway.
func StayOn(int) error { return errors.ErrUnsupported }
