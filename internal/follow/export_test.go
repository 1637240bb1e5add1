package follow

// Stem lets tests see what is taken for rotation in a name.
var Stem = stem
