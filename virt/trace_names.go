package virt

import (
	"io"
	"log/slog"

	"github.com/wasivirt/wasivirt/virt/trace"
)

// Tracer receives the calls of guests.
//
// Deprecated: use [trace.Tracer].
type Tracer = trace.Tracer

// TraceEvent is one call of a guest.
//
// Deprecated: use [trace.Event].
type TraceEvent = trace.Event

// TraceText returns a Tracer that writes lines of text.
//
// Deprecated: use [trace.Text].
func TraceText(w io.Writer) *trace.Writer { return trace.Text(w) }

// TraceJSON returns a Tracer that writes lines of JSON.
//
// Deprecated: use [trace.JSON].
func TraceJSON(w io.Writer) *trace.Writer { return trace.JSON(w) }

// TraceLog returns a Tracer that logs.
//
// Deprecated: use [trace.Log].
func TraceLog(l *slog.Logger, level slog.Level) trace.Tracer { return trace.Log(l, level) }

// TracePerfetto returns a Tracer that writes a file for ui.perfetto.dev.
//
// Deprecated: use [trace.Perfetto].
func TracePerfetto(w io.Writer) *trace.PerfettoWriter { return trace.Perfetto(w) }
