// Package config holds what can be declared: Options, the settings of one
// process (environment and flags), and Set, the providers and client keys of
// the whole fleet.
//
// It checks what it is given and reports every fault at once, by name. It
// neither loads nor stores: that is package store's, and nothing here knows
// how a request is served.
package config
