package server

import "llmproxy/route"

// now returns the time in unix nanoseconds. It never goes backwards.
func now() int64 { return route.Now() }

func seconds(ns int64) float64 { return float64(ns) / 1e9 }
