package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
)

const usage = `wasivirt runs WebAssembly programs in a virtual world.

  wasivirt run [flags] guest.wasm [args]   run a program ("-": a pipe)
  wasivirt inspect guest.wasm              say what a program needs
  wasivirt explore [run flags] -seeds 1..1000 guest.wasm [args]
                                           run it with many thread orders
  wasivirt snapshot -o FILE guest.wasm     start it, and write what it is then
  wasivirt replay FILE guest.wasm          run a recording, without its world
  wasivirt diff A B                        say where two recordings part
  wasivirt rewrite -o OUT guest.wasm       write the module as it is really run
  wasivirt exec-wrapper DIR                let "go test" and "go run" use it
  wasivirt go-overlay -o overlay.json      goroutines of Go guests by seed
  wasivirt cache [clear]                   size of the cache of compiled code
  wasivirt completion bash|zsh|fish        a script that completes commands
  wasivirt version

  wasivirt help COMMAND                    the flags of a command

First steps:
  wasivirt run hello.wasm                  with nothing of the machine
  wasivirt run -dir . tool.wasm README.md  with this directory, writable
  wasivirt run -mount /=overlay:. tool.wasm
                                           with a copy of it that is thrown away
  wasivirt snapshot -o warm.snap tool.wasm
  wasivirt run -from warm.snap tool.wasm   from where it was warmed up
`

// flagGroups are the flags of run as they are shown in help. Those of no group come last.
var flagGroups = []struct {
	title string
	flags []string
}{
	{"The world", []string{"mount", "dir", "env", "env-pass", "listen", "connect", "spawn", "absolute-links", "argv0", "invoke", "from", "plug"}},
	{"Time, chance and threads", []string{"clock", "seed", "sched", "deterministic", "threads", "switches", "strategy", "late-timers", "memory-model", "canonical-nans"}},
	{"Budgets (0: no limit)", []string{"untrusted", "timeout", "cpu", "fuel", "memory", "stack", "disk", "output", "fds"}},
	{"What happened", []string{"status", "trace", "trace-format", "record", "diff", "export"}},
	{"Faults", []string{"fault"}},
	{"Engine", []string{"interpreter", "no-preempt"}},
}

// printHelp prints the form of a command and its flags, in groups, in 80 columns.
func printHelp(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprintf(w, "%s\n", wants[flags.Name()])
	left := map[string]*flag.Flag{}
	flags.VisitAll(func(f *flag.Flag) { left[f.Name] = f })
	print := func(title string, names []string) {
		begun := false
		for _, name := range names {
			f := left[name]
			if f == nil {
				continue
			}
			if !begun {
				fmt.Fprintf(w, "\n%s:\n", title)
				begun = true
			}
			delete(left, name)
			printFlag(w, f)
		}
	}
	for _, g := range flagGroups {
		print(g.title, g.flags)
	}
	rest := make([]string, 0, len(left))
	for name := range left {
		rest = append(rest, name)
	}
	slices.Sort(rest)
	print("Other flags", rest)
}

func printFlag(w io.Writer, f *flag.Flag) {
	value, text := flag.UnquoteUsage(f)
	head := "  -" + f.Name
	if value != "" {
		head += " " + value
	}
	if d := f.DefValue; d != "" && d != "0" && d != "false" && d != "0s" && !strings.Contains(text, "default") {
		text += " (default: " + d + ")"
	}
	const column = 22
	line := fmt.Sprintf("%-*s", column, head)
	if len(line) > column {
		fmt.Fprintln(w, line)
		line = strings.Repeat(" ", column)
	}
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > 80 && strings.TrimSpace(line) != "" {
			fmt.Fprintln(w, strings.TrimRight(line, " "))
			line = strings.Repeat(" ", column)
		}
		if !strings.HasSuffix(line, " ") {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(w, strings.TrimRight(line, " "))
}

// help is the command of that name: of all, or of one command.
func help(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if len(args) == 0 {
		_, err := io.WriteString(stdout, usage)
		return 0, err
	}
	command, ok := commands()[args[0]]
	if !ok || len(args) > 1 {
		return exitHost, fmt.Errorf("help %s: no such command: see wasivirt help", strings.Join(args, " "))
	}
	if wants[args[0]] == "" {
		return help(ctx, nil, stdin, stdout, stderr)
	}
	return command(ctx, []string{"-h"}, stdin, stdout, stderr)
}

// version is the command of that name.
func version(_ context.Context, args []string, _ io.Reader, stdout, _ io.Writer) (int, error) {
	if len(args) > 0 {
		return exitHost, errors.New("want: wasivirt version")
	}
	own, engine, revision := "(devel)", "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		own = info.Main.Version
		for _, d := range info.Deps {
			if d.Path == "github.com/tetratelabs/wazero" {
				engine = ", wazero " + d.Version
			}
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " " + s.Value[:min(len(s.Value), 12)]
			}
		}
		engine += ", " + info.GoVersion
	}
	_, err := fmt.Fprintf(stdout, "wasivirt %s%s%s\n", own, revision, engine)
	return 0, err
}

// completion is the command of that name: it prints a script for a shell.
func completion(_ context.Context, args []string, _ io.Reader, stdout, _ io.Writer) (int, error) {
	var names []string
	for name := range commands() {
		names = append(names, name)
	}
	slices.Sort(names)
	all := strings.Join(names, " ")
	var flags []string
	new(settings).flags().VisitAll(func(f *flag.Flag) { flags = append(flags, "-"+f.Name) })
	options := strings.Join(flags, " ")
	scripts := map[string]string{
		"bash": `_wasivirt() {
  local cur=${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" = 1 ]; then COMPREPLY=($(compgen -W "` + all + `" -- "$cur"))
  elif [ "${cur#-}" != "$cur" ]; then COMPREPLY=($(compgen -W "` + options + `" -- "$cur"))
  else COMPREPLY=($(compgen -f -- "$cur")); fi
}
complete -o filenames -F _wasivirt wasivirt
`,
		"zsh": `#compdef wasivirt
_wasivirt() {
  if (( CURRENT == 2 )); then compadd ` + all + `
  elif [[ $PREFIX == -* ]]; then compadd -- ` + options + `
  else _files; fi
}
compdef _wasivirt wasivirt
`,
		"fish": "complete -c wasivirt -n __fish_use_subcommand -f -a '" + all + "'\n" +
			"complete -c wasivirt -n 'not __fish_use_subcommand' -a '" + options + "'\n",
	}
	if len(args) != 1 || scripts[args[0]] == "" {
		return exitHost, errors.New(`want: wasivirt completion bash|zsh|fish, as in: eval "$(wasivirt completion bash)"`)
	}
	_, err := io.WriteString(stdout, scripts[args[0]])
	return 0, err
}
