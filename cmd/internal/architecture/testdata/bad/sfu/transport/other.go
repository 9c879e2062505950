package transport

var total = 0
