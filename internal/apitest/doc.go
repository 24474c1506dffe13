// Package apitest holds what the gateway answers against its own OpenAPI
// description, so that the two cannot drift apart unnoticed.
//
// A test either checks single exchanges,
//
//	v := apitest.NewValidator(t)
//	v.Check(t, apitest.Exchange{Method: "GET", Path: "/health", Status: 200, ...})
//
// or speaks to the gateway through a client that checks all it sees:
//
//	client := apitest.NewValidator(t).Client(t)
//
// A request that the gateway accepted must be allowed by the description, and
// every answer must be described: its status, its headers, and its body down
// to the last field.
package apitest
