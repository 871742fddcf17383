package virt

import (
	"fmt"
	"regexp"
	"strings"
)

// optionWords are what users call the options by which modules are rewritten.
var optionWords = map[string]string{
	"Stop": "preemption", "Capture": "preemption", "Period": "WithInterpreter", "Fuel": "counting of instructions, as for fuel and turns",
	"SharedAccess": "WithAccessSwitches", "Turns": "threads that take turns", "CanonicalNaNs": "canonical NaNs",
	"CallDepth": "Limits.CallDepth", "Stack": "counting of stacks, as for Limits.Stack",
}

// optionText finds the options in a text of them.
var optionText = regexp.MustCompile(`(\w+):(\[[^\]]*\]|[^ \]}]*)`)

// differences says in which options there differs from here.
func differences(there, here string) string {
	theirs := map[string]string{}
	for _, m := range optionText.FindAllStringSubmatch(there, -1) {
		theirs[m[1]] = m[2]
	}
	var all []string
	seen := map[string]bool{}
	for _, m := range optionText.FindAllStringSubmatch(here, -1) {
		name, ours := m[1], m[2]
		word, known := optionWords[name]
		if !known {
			word = name
		}
		if was, ok := theirs[name]; ok && was != ours && !seen[word] {
			seen[word] = true
			all = append(all, fmt.Sprintf("%s: %.40s in the file, %.40s here", word, option(name, was), option(name, ours)))
		}
	}
	if all == nil {
		return "of another version of this library"
	}
	return strings.Join(all, "; ")
}

// option is an option's value in words.
func option(name, value string) string {
	switch {
	case value == "false" || value == "0" || value == "":
		return "no"
	case value == "true" || name == "Period" || name == "Stack":
		return "yes"
	}
	return value
}
