// Package server is the data plane: it takes OpenAI requests from clients and
// gives them a provider's answer.
//
// A request goes one straight line, and the files are named by its steps:
//
//	admit    who asks, may they, is the body sound, who serves the model
//	forward  ask one provider after another until one answers
//	relay    the provider's bytes to the client
//	settle   exactly once: metrics, usage, connections and buffers given back
//
// Everything before the commit point (a whole answer, or a stream's first data
// event, is in hand) can be asked again of another provider and is invisible
// to the client; after it nothing is retried.
//
// Lock order: an inflight shard's lock is a leaf; nothing else is locked here.
package server
