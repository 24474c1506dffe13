// Package health asks providers whether they answer: a real call with few
// tokens for each of their models, in parallel under a bound.
//
// It reports; it changes nothing about who is asked by requests. Reports never
// hold a provider's key.
package health
