package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
)

const usage = `wasivirt runs WebAssembly programs in a virtual world.

  wasivirt run [flags] guest.wasm [args]   run a program ("-": a pipe)
  wasivirt inspect guest.wasm              say what a program needs
  wasivirt explore [run flags] -seeds 1..1000 guest.wasm [args]
                                           run it with many thread orders
  wasivirt snapshot -o FILE guest.wasm     start it, and write its state
  wasivirt replay FILE guest.wasm          run a recording, without its world
  wasivirt diff A B                        where two recordings differ first
  wasivirt rewrite -o OUT guest.wasm       write the module that run executes
  wasivirt exec-wrapper DIR                let "go test" and "go run" use it
  wasivirt go-overlay -o overlay.json      goroutines of Go guests by seed
  wasivirt cache [clear]                   size of the cache of compiled code
  wasivirt completion bash|zsh|fish        a script that completes commands
  wasivirt version                         versions of wasivirt, wazero and Go
  wasivirt help COMMAND                    flags and exit status of a command

First steps:
  wasivirt run hello.wasm                  with nothing of the machine
  wasivirt run -dir . tool.wasm README.md  with this directory, writable
  wasivirt run -mount /=overlay:. tool.wasm
                                           with a copy of it that is thrown away
  wasivirt snapshot -o warm.snap tool.wasm
  wasivirt run -from warm.snap tool.wasm   from where it was warmed up

The exit status of each command is 125 after a mistake in the command line.
`

// forms are the forms of the commands, and what help says of each.
var forms = map[string]struct{ form, about string }{
	"run": {"wasivirt run [flags] guest.wasm [guest arguments]",
		"Runs a program. \"-\" instead of guest.wasm reads it from standard input."},
	"inspect": {"wasivirt inspect guest.wasm",
		"Says what a program imports, with the types of functions that nothing provides,\nwhat it exports, and whether it uses threads."},
	"explore": {"wasivirt explore [run flags] -seeds 1..1000 guest.wasm [guest arguments]",
		"Runs a program with many orders of its threads, and says how the runs end. The\nexit status is 0 if all end alike and with 0, else 1."},
	"snapshot": {"wasivirt snapshot -o FILE [run flags] guest.wasm [guest arguments]",
		"Starts a program and writes its state to a file, for run -from. The exit status\nis 0 if the file was written."},
	"replay": {"wasivirt replay [-interpreter] [-throw-ref] FILE guest.wasm",
		"Runs a recording of run -record again, without its world. The exit status is\nthat of the run."},
	"diff": {"wasivirt diff [-context N] A B",
		"Says where two recordings of run -record differ first. The exit status is 0 if\nthey do not, else 1."},
	"rewrite": {"wasivirt rewrite -o OUT [run flags] guest.wasm",
		"Writes the module that run executes: with the code that limits and stops need."},
	"exec-wrapper": {"wasivirt exec-wrapper DIR",
		"Writes " + wrapperName + " to DIR. With DIR on the PATH, go run and go test\nof GOOS=wasip1 GOARCH=wasm use wasivirt. WASIVIRT_SEED=7 makes runs repeat."},
	"go-overlay": {"wasivirt go-overlay [-go COMMAND] -o overlay.json",
		"Writes an overlay for go build -overlay, with which seeds order the goroutines\nof Go guests."},
	"cache": {"wasivirt cache [clear]",
		"Says how large the cache of compiled code is and may become, or empties it."},
	"completion": {"wasivirt completion bash|zsh|fish",
		`Prints a script that completes commands and flags, as in:` + "\n" + `eval "$(wasivirt completion bash)"`},
	"version": {"wasivirt version", "Prints the versions of wasivirt, wazero and Go."},
	"help":    {"wasivirt help [COMMAND]", "Prints the commands, or the flags of one."},
}

// exits are the exit statuses of run, as help shows them.
const exits = `
Exit status: the guest's own, or
  123                 deadlock: all threads wait for each other
  124                 the timeout
  125                 a mistake in the command line, or a bad module
  128+n               signal n
  134                 a trap
  137                 another budget is used up
`

// elsewhere are flags of other runtimes, and what to write here.
var elsewhere = map[string]string{
	"mapdir": "-dir HOST::GUEST", "volume": "-dir HOST::GUEST", "v": "-dir HOST::GUEST",
	"cachedir": "WASIVIRT_CACHE=DIR in the environment", "cache-dir": "WASIVIRT_CACHE=DIR in the environment",
	"env-inherit": "-env-pass NAME", "inherit-env": "-env-pass NAME", "forward-host-env": "-env-pass NAME",
	"hostlogging": "-trace -", "interp": "-interpreter", "tcplisten": "-listen ADDR", "net": "-connect HOST:PORT",
	"W": "-fuel, -memory, -stack, -threads or -trap-unknown-imports", "S": "-env-pass, -listen, -connect or -threads",
	"wasm": "-fuel, -memory, -stack, -threads or -trap-unknown-imports", "wasi": "-env-pass, -listen, -connect or -threads",
}

// newFlags is an empty set of flags of a command. What is wrong with them is said by parse.
func newFlags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f
}

// parse reads a command's flags. Where help is asked for it prints it, and returns errHelped.
func parse(flags *flag.FlagSet, args []string, stdout io.Writer) error {
	err := flags.Parse(args)
	if err == nil {
		return nil
	}
	if errors.Is(err, flag.ErrHelp) {
		printHelp(stdout, flags)
		return errHelped
	}
	text := err.Error()
	if name, unknown := strings.CutPrefix(text, "flag provided but not defined: -"); unknown {
		var names []string
		flags.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
		text = fmt.Sprintf("no flag -%s%s", name, orRather(name, "-", names))
		if instead := elsewhere[name]; instead != "" && flags.Lookup("mount") != nil {
			text = fmt.Sprintf("no flag -%s: here it is %s", name, instead)
		}
	}
	// The only values without an error of their own are those of boolean flags.
	text = strings.Replace(text, ": parse error", ": want true or false", 1)
	return fmt.Errorf("%s: see wasivirt help %s", text, flags.Name())
}

// noFlags reads the arguments of a command that has no flags.
func noFlags(name string, args []string, stdout io.Writer) ([]string, error) {
	flags := newFlags(name)
	err := parse(flags, args, stdout)
	return flags.Args(), err
}

// noProgram says that a command line names no program.
func noProgram(command string) error {
	return fmt.Errorf("which program? want: %s (\"-\" reads guest.wasm from a pipe)", forms[command].form)
}

// orRather is " (did you mean X?)" if one of the names is much like what was written, else "".
func orRather(name, prefix string, names []string) string {
	best, least := "", 3
	for _, n := range names {
		if d := distance(name, n); d < least && d < len(name) {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + prefix + best + "?)"
}

// distance is how many letters are to be put in, left out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// flagGroups are the flags of run as they are shown in help. Those of no group come last.
var flagGroups = []struct {
	title string
	flags []string
}{
	{"The world", []string{"mount", "dir", "env", "env-pass", "listen", "connect", "spawn", "absolute-links", "argv0", "invoke", "from", "plug", "trap-unknown-imports"}},
	{"Time, chance and threads", []string{"clock", "seed", "sched", "deterministic", "threads", "switches", "strategy", "late-timers", "memory-model", "canonical-nans"}},
	{"Budgets (0: no limit)", []string{"untrusted", "timeout", "cpu", "fuel", "memory", "stack", "disk", "output", "fds"}},
	{"What happened", []string{"status", "trace", "trace-format", "trace-calls", "record", "diff", "export"}},
	{"Faults", []string{"fault"}},
	{"Engine", []string{"interpreter", "no-preempt", "throw-ref"}},
}

// printHelp prints the form of a command and its flags, in groups, in 80 columns.
func printHelp(w io.Writer, flags *flag.FlagSet) {
	f := forms[flags.Name()]
	fmt.Fprintf(w, "%s\n\n%s\n", f.form, f.about)
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
	print(map[bool]string{true: "Flags", false: "Other flags"}[flags.Lookup("mount") == nil], rest)
	if flags.Name() == "run" {
		io.WriteString(w, exits)
	}
}

func printFlag(w io.Writer, f *flag.Flag) {
	value, text := flag.UnquoteUsage(f)
	head := "  -" + f.Name
	if value != "" {
		head += " " + value
	}
	if d := f.DefValue; d != "" && d != "0" && d != "false" && d != "0s" && d != "*" && !strings.Contains(text, "default") {
		text += " (default: " + d + ")"
	}
	// What a flag is called is said once.
	for _, after := range []string{", ", ": "} {
		text = strings.TrimPrefix(text, value+after)
	}
	const column = 22
	line := fmt.Sprintf("%-*s", column, head)
	if len(head) >= column {
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
	if len(args) == 0 || len(args) == 1 && slices.Contains([]string{"-h", "-help", "--help"}, args[0]) {
		_, err := io.WriteString(stdout, usage)
		return 0, err
	}
	if len(args) > 1 {
		return exitHost, fmt.Errorf("want: %s", forms["help"].form)
	}
	command, ok := commands()[args[0]]
	if !ok {
		return exitHost, fmt.Errorf("help %s: no such command%s: see wasivirt help", strings.Join(args, " "), orRather(args[0], "", names()))
	}
	if args[0] == "help" {
		return help(ctx, nil, stdin, stdout, stderr)
	}
	return command(ctx, []string{"-h"}, stdin, stdout, stderr)
}

// version is the command of that name.
func version(_ context.Context, args []string, _ io.Reader, stdout, _ io.Writer) (int, error) {
	if args, err := noFlags("version", args, stdout); err != nil {
		return exitHost, err
	} else if len(args) > 0 {
		return exitHost, fmt.Errorf("want: %s", forms["version"].form)
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
	args, err := noFlags("completion", args, stdout)
	if err != nil {
		return exitHost, err
	}
	scripts := map[string]func() string{"bash": bash, "zsh": zsh, "fish": fish}
	if len(args) != 1 || scripts[args[0]] == nil {
		return exitHost, errors.New(`want: wasivirt completion bash|zsh|fish, as in: eval "$(wasivirt completion bash)"`)
	}
	_, err = io.WriteString(stdout, scripts[args[0]]())
	return 0, err
}

// words are the flags of a command, and the words that it takes as its first argument.
func words(command string) (flags, arguments []string) {
	var help strings.Builder
	// It prints help, which lists the flags, and does nothing else.
	_, _ = commands()[command](context.Background(), []string{"-h"}, strings.NewReader(""), &help, io.Discard)
	for line := range strings.Lines(help.String()) {
		if strings.HasPrefix(line, "  -") {
			flags = append(flags, strings.Fields(line)[0])
		}
	}
	return flags, map[string][]string{"cache": {"clear"}, "completion": {"bash", "zsh", "fish"}, "help": names()}[command]
}

// eachCommand joins what f returns for each command that has flags or words.
func eachCommand(f func(command, flags, arguments string) string) string {
	var all strings.Builder
	for _, name := range names() {
		if flags, arguments := words(name); len(flags)+len(arguments) > 0 {
			all.WriteString(f(name, strings.Join(flags, " "), strings.Join(arguments, " ")))
		}
	}
	return all.String()
}

func bash() string {
	return `_wasivirt() {
  local cur=${COMP_WORDS[COMP_CWORD]} flags= words=
  if [ "$COMP_CWORD" = 1 ]; then COMPREPLY=($(compgen -W "` + strings.Join(names(), " ") + `" -- "$cur")); return; fi
  case ${COMP_WORDS[1]} in
` + eachCommand(func(command, flags, arguments string) string {
		return fmt.Sprintf("  %s) flags=%q words=%q;;\n", command, flags, arguments)
	}) + `  esac
  if [ "${cur#--}" != "$cur" ]; then COMPREPLY=($(compgen -P - -W "$flags" -- "${cur#-}"))
  elif [ "${cur#-}" != "$cur" ]; then COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$cur"))
  else COMPREPLY=($(compgen -f -- "$cur")); fi
}
complete -o filenames -F _wasivirt wasivirt
`
}

func zsh() string {
	return `#compdef wasivirt
_wasivirt() {
  local -a flags words_
  if (( CURRENT == 2 )); then compadd ` + strings.Join(names(), " ") + `; return; fi
  case $words[2] in
` + eachCommand(func(command, flags, arguments string) string {
		return fmt.Sprintf("  %s) flags=(%s) words_=(%s);;\n", command, flags, arguments)
	}) + `  esac
  if [[ $PREFIX == -* ]]; then compadd -- $flags
  elif (( $#words_ )); then compadd $words_
  else _files; fi
}
compdef _wasivirt wasivirt
`
}

func fish() string {
	return "complete -c wasivirt -n __fish_use_subcommand -f -a '" + strings.Join(names(), " ") + "'\n" +
		eachCommand(func(command, flags, arguments string) string {
			return fmt.Sprintf("complete -c wasivirt -n '__fish_seen_subcommand_from %s' -a '%s'\n", command, strings.TrimSpace(flags+" "+arguments))
		})
}

// names are those of the commands.
func names() []string { return slices.Sorted(maps.Keys(commands())) }
