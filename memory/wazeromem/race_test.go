//go:build race

package wazeromem_test

// underRace: the race detector keeps a shadow of all that is allocated.
const underRace = true
