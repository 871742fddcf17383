//go:build !race

package wazeromem_test

const underRace = false
