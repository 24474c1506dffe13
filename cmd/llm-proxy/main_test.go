package main

import (
	"os"
	"testing"

	"llmproxy/internal/gatewaytest"
	"llmproxy/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Run(pgtest.Run(m))) }
