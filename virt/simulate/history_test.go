package simulate

import (
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

func TestCheckRegisters(t *testing.T) {
	w := func(value string, call, ret time.Duration) Operation {
		return Operation{Key: "x", Write: true, Value: value, Call: call, Return: ret}
	}
	r := func(value string, call, ret time.Duration) Operation {
		return Operation{Key: "x", Value: value, Call: call, Return: ret}
	}
	unknown := func(o Operation) Operation { o.Unknown = true; return o }
	other := func(o Operation) Operation { o.Key = "y"; return o }
	for name, test := range map[string]struct {
		history []Operation
		ok      bool
	}{
		"nothing":                         {nil, true},
		"empty at the start":              {[]Operation{r("", 1, 2)}, true},
		"one after the other":             {[]Operation{w("a", 1, 2), r("a", 3, 4), w("b", 5, 6), r("b", 7, 8)}, true},
		"stale read":                      {[]Operation{w("a", 1, 2), w("b", 3, 4), r("a", 5, 6)}, false},
		"at the same time, old":           {[]Operation{w("a", 1, 2), w("b", 3, 9), r("a", 4, 5)}, true},
		"at the same time, new":           {[]Operation{w("a", 1, 2), w("b", 3, 9), r("b", 4, 5)}, true},
		"new, then old":                   {[]Operation{w("a", 1, 2), w("b", 3, 9), r("b", 4, 5), r("a", 6, 7)}, false},
		"never written":                   {[]Operation{r("z", 1, 2)}, false},
		"lost write":                      {[]Operation{w("a", 1, 2), r("", 3, 4)}, false},
		"unknown write has happened":      {[]Operation{unknown(w("a", 1, 2)), r("", 3, 4), r("a", 5, 6)}, true},
		"unknown write never happens":     {[]Operation{unknown(w("a", 1, 2)), r("", 3, 4)}, true},
		"unknown write happens once only": {[]Operation{unknown(w("a", 1, 2)), r("a", 3, 4), w("b", 5, 6), r("b", 7, 8), r("a", 9, 10)}, false},
		"unknown read means nothing":      {[]Operation{unknown(r("z", 1, 2))}, true},
		"two keys":                        {[]Operation{w("a", 1, 2), other(r("", 3, 4))}, true},
	} {
		if err := CheckRegisters(test.history); (err == nil) != test.ok {
			t.Errorf("%s: %v, want ok %v", name, err, test.ok)
		}
	}
}

// The error names the first operation that cannot be explained, and not one that follows from it.
func TestHistoryError(t *testing.T) {
	op := func(write bool, value string, call, ret time.Duration) Operation {
		return Operation{Client: "c", Key: "x", Write: write, Value: value, Call: call, Return: ret}
	}
	history := []Operation{
		op(true, "a", 1, 2), op(false, "a", 3, 4), op(true, "b", 5, 20), op(false, "b", 6, 7), op(false, "a", 8, 9), op(false, "b", 10, 11),
		op(false, "a", 12, 13), op(true, "c", 21, 22), op(false, "c", 23, 24),
	}
	err, ok := errors.AsType[*HistoryError](CheckRegisters(history))
	if !ok || err.Operation != history[4] {
		t.Errorf("%v, want the read from 8 to 9", err)
	}
}

// A register that takes effect at one moment of each operation has histories that pass; one read of
// another value fails.
func TestCheckRegistersDrawn(t *testing.T) {
	seeds := uint64(40)
	if os.Getenv("WASIVIRT_FULL") != "" {
		seeds = 200
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 1))
		var history []Operation
		value, now := "", time.Duration(0)
		for i := range 200 {
			now += time.Duration(1 + rng.IntN(10))
			o := Operation{Key: "k", Call: now - time.Duration(rng.IntN(30)), Return: now + time.Duration(rng.IntN(30))}
			if o.Write = rng.IntN(2) == 0; o.Write {
				value = string(rune('a'+i%26)) + string(rune('0'+i%10)) + string(rune('A'+i/26))
			}
			o.Value = value
			history = append(history, o)
		}
		if err := CheckRegisters(history); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		bad := append(history, Operation{Key: "k", Value: "never", Call: now + 100, Return: now + 101})
		if CheckRegisters(bad) == nil {
			t.Fatalf("seed %d: a read of what was never written passes", seed)
		}
	}
}
