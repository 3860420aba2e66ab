package fix

// RestOf lets tests make the steps that a plan would make.
var RestOf = restOf
