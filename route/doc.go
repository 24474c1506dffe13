// Package route compiles a configuration into what a request follows.
//
// Build turns a config.Set into an immutable Table: client keys by their hash,
// models by their name, and for every model the Route to the providers that
// serve it. Everything a request needs (mapped names, pooled clients, limits,
// metric labels) is resolved there, so that the request path only follows
// pointers. Live holds the Table that serves and swaps it with one pointer
// store; what survives a reload (buckets, connections, what was learned of a
// provider) is lent from the old Table to the new.
//
// It decides who may be asked and in which order. It sends nothing: that is
// package upstream's, and what to do when an answer is bad is package server's.
package route
