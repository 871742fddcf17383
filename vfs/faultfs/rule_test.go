package faultfs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

func TestParseRule(t *testing.T) {
	for _, c := range []struct {
		text string
		want faultfs.Rule
	}{
		{"path_open:/data/*:nth=3:EIO", faultfs.Rule{Op: "path_open", Path: "/data/*", Nth: 3, Errno: wasip1.EIO}},
		{"fd_write:/log/**:p=0.01:short=1", faultfs.Rule{Op: "fd_write", Path: "/log/**", Probability: 0.01, Short: 1}},
		{"read:*:delay=20ms:corrupt", faultfs.Rule{Op: "read", Path: "*", Delay: 20 * time.Millisecond, Corrupt: 1}},
		{"*:/a\\:b:from=2:corrupt=9:powerloss", faultfs.Rule{Op: "*", Path: `/a\:b`, From: 2, Corrupt: 9, PowerLoss: true}},
		{"unlink::ENOSPC", faultfs.Rule{Op: "unlink", Errno: wasip1.ENOSPC}},
	} {
		got, err := faultfs.ParseRule(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.text, d)
		}
		if again, err := faultfs.ParseRule(got.String()); err != nil || again != got {
			t.Errorf("%s became %s: %v", c.text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                                    "want OPERATION[:PATTERN]",
		"path_open:/x":                        "missing",
		"path_opne:/x:EIO":                    `unknown operation "path_opne"`,
		"read:/[:EIO":                         "pattern",
		"read:*:nth=0:EIO":                    "at least 1",
		"read:*:nth=x:EIO":                    "at least 1",
		"read:*:nth=1:from=2:EIO":             "exclude",
		"read:*:p=2:EIO":                      "probability",
		"read:*:p=NaN:EIO":                    "probability",
		"read:*:EWHAT":                        `unknown field "EWHAT"`,
		"read:*:nth=3":                        "no effect",
		"read:*:delay=5":                      "delay",
		"read:*:delay=-1s":                    "duration above 0",
		"read:*:EIO:EPERM":                    "two errnos",
		"read:*:powerloss=1":                  "takes no value",
		"read:*:short=-1":                     "at least 1",
		"read:*:ESUCCESS":                     "unknown field",
		"read:*:corrupt=99999999999999999999": "at least 1",
	} {
		if _, err := faultfs.ParseRule(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParseRule(f *testing.F) {
	f.Add("path_open:/data/*:nth=3:EIO")
	f.Add(`*:\::p=0.5:delay=1s:corrupt=3:powerloss:short=7`)
	f.Fuzz(func(t *testing.T, s string) {
		r, err := faultfs.ParseRule(s)
		if err != nil {
			return
		}
		again, err := faultfs.ParseRule(r.String())
		if err != nil || again != r {
			t.Errorf("%q is %+v, then %+v, %v", s, r, again, err)
		}
	})
}

// A rule that was removed does not act any more; others keep their counts.
func TestRemove(t *testing.T) {
	parse := func(text string) faultfs.Rule {
		r, err := faultfs.ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	fails, second := parse("create:*:EIO"), parse("mkdir:*:nth=2:EIO")
	disk, err := faultfs.New(memfs.New(), []faultfs.Rule{fails, second})
	if err != nil {
		t.Fatal(err)
	}
	root, err := vfs.NewRoot(disk)
	if err != nil {
		t.Fatal(err)
	}
	if root.WriteFile("f", nil, 0o666) == nil || root.Mkdir("a", 0o777) != nil {
		t.Error("the rules do not act as they say")
	}
	disk.Remove(fails, parse("open:*:EIO"))
	if err := root.WriteFile("f", nil, 0o666); err != nil {
		t.Errorf("after the rule was removed: %v", err)
	}
	if root.Mkdir("b", 0o777) == nil {
		t.Error("the other rule has lost its count")
	}
}
