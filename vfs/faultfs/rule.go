package faultfs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/internal/glob"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Rule says what goes wrong, and when.
type Rule struct {
	// Op is an operation (see [Operations]), or "*" for all.
	Op string
	// Path is a pattern for the whole path, such as "/data/*". "*", "?" and "[...]" match within a
	// name as in [path.Match]; "**" matches any number of names, none included; "", "*" and "**"
	// alone match everything.
	Path string

	// Nth, if not 0, says that only the nth call that matches is meant, counting from 1; From, if
	// not 0, that one and all later ones; Every, if not 0, each Every-th one. They and Probability
	// exclude each other.
	Nth, From, Every int
	// Probability, if not 0, is that with which a call is meant, up to 1.
	Probability float64

	// Errno, if not ESUCCESS, is answered, and nothing else happens.
	Errno wasip1.Errno
	// Short, if not 0, is the most bytes that a read or a write transfers.
	Short int
	// Delay is how long the call takes.
	Delay time.Duration
	// Corrupt is how many bits are wrong in what is read.
	Corrupt int
	// PowerLoss cuts the power before the call, see [FS.CutPower].
	PowerLoss bool
}

// event is one or several operations.
type event uint32

const (
	evLookup event = 1 << iota
	evAttr
	evSetattr
	evOpen
	evCreate
	evMkdir
	evSymlink
	evLink
	evUnlink
	evRmdir
	evRename
	evReaddir
	evReadlink
	evRead
	evWrite
	evSync
	evAllocate
	evClose
	evPathOpen // an opening, or a creation together with the opening that follows it

	evAll = evPathOpen<<1 - 1
)

// operations has the names that a rule can have: those of the operations of a file system, then
// those of the functions of preview1 that lead to them.
var operations = [...]struct {
	name string
	ev   event
}{
	{"*", evAll},
	{"lookup", evLookup}, {"attr", evAttr}, {"setattr", evSetattr}, {"open", evOpen}, {"create", evCreate}, {"mkdir", evMkdir},
	{"symlink", evSymlink}, {"link", evLink}, {"unlink", evUnlink}, {"rmdir", evRmdir}, {"rename", evRename},
	{"readdir", evReaddir}, {"readlink", evReadlink}, {"read", evRead}, {"write", evWrite}, {"sync", evSync},
	{"allocate", evAllocate}, {"close", evClose},

	{"fd_allocate", evAllocate}, {"fd_close", evClose}, {"fd_datasync", evSync}, {"fd_filestat_get", evAttr},
	{"fd_filestat_set_size", evSetattr}, {"fd_filestat_set_times", evSetattr}, {"fd_pread", evRead}, {"fd_pwrite", evWrite},
	{"fd_read", evRead}, {"fd_readdir", evReaddir}, {"fd_sync", evSync}, {"fd_write", evWrite},
	{"path_create_directory", evMkdir}, {"path_filestat_get", evAttr}, {"path_filestat_set_times", evSetattr},
	{"path_link", evLink}, {"path_open", evPathOpen}, {"path_readlink", evReadlink}, {"path_remove_directory", evRmdir},
	{"path_rename", evRename}, {"path_symlink", evSymlink}, {"path_unlink_file", evUnlink},
}

// Operations returns the names that [Rule.Op] can have. The functions of preview1 stand for the
// operations of a file system that they lead to: fd_read and fd_pread are both "read". path_open is
// the opening of a regular file, once, also where it creates it. "attr" happens in many other
// functions too.
func Operations() []string {
	names := make([]string, len(operations))
	for i, o := range operations {
		names[i] = o.name
	}
	return names
}

func eventOf(op string) event {
	for _, o := range operations {
		if o.name == op {
			return o.ev
		}
	}
	return 0
}

// Validate says what is wrong with a rule.
func (r Rule) Validate() error {
	if eventOf(r.Op) == 0 {
		return fmt.Errorf("unknown operation %q; there are %s", r.Op, strings.Join(Operations(), ", "))
	}
	if err := glob.Check([]string{r.Path}); err != nil {
		return err
	}
	when := 0
	for _, given := range []bool{r.Nth > 0, r.From > 0, r.Every > 0, r.Probability > 0} {
		if given {
			when++
		}
	}
	switch {
	case r.Nth < 0 || r.From < 0 || r.Every < 0:
		return fmt.Errorf("calls are counted from 1")
	case when > 1:
		return fmt.Errorf("nth, from, every and p exclude each other")
	case !(r.Probability >= 0 && r.Probability <= 1):
		return fmt.Errorf("probability %v is not between 0 and 1", r.Probability)
	case r.Short < 0 || r.Delay < 0 || r.Corrupt < 0:
		return fmt.Errorf("negative amount")
	case r.Errno == wasip1.ESUCCESS && r.Short == 0 && r.Delay == 0 && r.Corrupt == 0 && !r.PowerLoss:
		return fmt.Errorf("no effect: an errno such as EIO, short=BYTES, delay=DURATION, corrupt or powerloss is missing")
	case !r.Errno.Valid():
		return fmt.Errorf("unknown errno %d", r.Errno)
	}
	return nil
}

// ParseRule reads a rule of the form
//
//	OPERATION[:PATTERN][:CONDITION]:EFFECT[:EFFECT…]
//
// which is the language of virt.ParseFault, with further effects. A pattern begins with /, * or <.
// Conditions: nth=N, from=N, every=N, p=PROBABILITY; they exclude each other. Effects: EIO (or any
// errno), short=BYTES, delay=DURATION (as [time.ParseDuration] has it), corrupt or corrupt=BITS,
// and powerloss. A colon in a pattern is written \: there.
//
//	path_open:/data/*:nth=3:EIO
//	fd_write:/log/**:p=0.01:short=1
//	fd_read:*:delay=20ms:corrupt
func ParseRule(s string) (Rule, error) {
	r, err := parseRule(s)
	if err == nil {
		err = r.Validate()
	}
	if err != nil {
		return Rule{}, fmt.Errorf("fault rule %q: %w", s, err)
	}
	return r, nil
}

func parseRule(s string) (Rule, error) {
	fields := splitRule(s)
	if len(fields) < 2 {
		return Rule{}, fmt.Errorf("want OPERATION[:PATTERN][:CONDITION]:EFFECT, as in path_open:/data/*:nth=3:EIO")
	}
	r, rest := Rule{Op: fields[0]}, fields[1:]
	if p := rest[0]; p == "" || strings.ContainsRune("/*<", rune(p[0])) {
		r.Path, rest = p, rest[1:]
	}
	for _, f := range rest {
		if err := r.parseField(f); err != nil {
			return Rule{}, err
		}
	}
	return r, nil
}

// splitRule splits at colons that no backslash escapes.
func splitRule(s string) []string {
	var fields []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ':':
			fields = append(fields, s[start:i])
			start = i + 1
		}
	}
	return append(fields, s[start:])
}

func (r *Rule) parseField(f string) error {
	key, value, has := strings.Cut(f, "=")
	var err error
	switch key {
	case "nth":
		r.Nth, err = positive(value)
	case "from":
		r.From, err = positive(value)
	case "every":
		r.Every, err = positive(value)
	case "p":
		r.Probability, err = strconv.ParseFloat(value, 64)
		if err == nil && !(r.Probability > 0 && r.Probability <= 1) {
			err = fmt.Errorf("want a probability above 0 and up to 1")
		}
	case "short":
		r.Short, err = positive(value)
	case "delay":
		r.Delay, err = time.ParseDuration(value)
		if err == nil && r.Delay <= 0 {
			err = fmt.Errorf("want a duration above 0, such as 10ms")
		}
	case "corrupt":
		r.Corrupt = 1
		if has {
			r.Corrupt, err = positive(value)
		}
	case "powerloss":
		r.PowerLoss = true
		if has {
			err = fmt.Errorf("takes no value")
		}
	default:
		for e := wasip1.Errno(1); e.Valid(); e++ {
			if e.Name() == f {
				if r.Errno != wasip1.ESUCCESS {
					return fmt.Errorf("two errnos, %v and %v", r.Errno.Name(), f)
				}
				r.Errno = e
				return nil
			}
		}
		return fmt.Errorf("unknown field %q: want nth=, from=, every=, p=, short=, delay=, corrupt, powerloss or an errno such as EIO", f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	return nil
}

func positive(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("want a number of at least 1")
	}
	return n, nil
}

// String returns the rule in the form that [ParseRule] reads.
func (r Rule) String() string {
	fields := []string{r.Op, r.Path}
	add := func(on bool, format string, v ...any) {
		if on {
			fields = append(fields, fmt.Sprintf(format, v...))
		}
	}
	add(r.Nth > 0, "nth=%d", r.Nth)
	add(r.From > 0, "from=%d", r.From)
	add(r.Every > 0, "every=%d", r.Every)
	add(r.Probability > 0, "p=%s", strconv.FormatFloat(r.Probability, 'g', -1, 64))
	add(r.Delay > 0, "delay=%v", r.Delay)
	add(r.Short > 0, "short=%d", r.Short)
	add(r.Corrupt == 1, "corrupt")
	add(r.Corrupt > 1, "corrupt=%d", r.Corrupt)
	add(r.PowerLoss, "powerloss")
	add(r.Errno != wasip1.ESUCCESS, "%s", r.Errno.Name())
	return strings.Join(fields, ":")
}

// matches reports whether the pattern is one for any of the paths.
func (r *Rule) matches(paths []string) bool {
	switch r.Path {
	case "", "*", "**":
		return true
	}
	return slices.ContainsFunc(paths, func(p string) bool { return glob.Match(r.Path, p) })
}
