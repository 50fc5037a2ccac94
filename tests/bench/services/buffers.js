// A service in Node: each request fills Buffers of uneven sizes and keeps a few of them.
//   node buffers.js PORT
// A connection is one request: a line with the number of Buffers; the answer is a line.  "live" is answered with
// the highest sum of bytes of JavaScript's heap and of Buffers that was seen.
const net = require('net')
const kept = new Array(24)
let turn = 0
let live = 0

// The Buffers outlive a turn of the loop, as those of a request that waits for something.
function work (count, done) {
  const made = []
  let bytes = 0
  for (let i = 0; i < count; i++) {
    const size = 20000 + (i * 7919) % 180000
    made.push(Buffer.alloc(size, i))
    bytes += size
  }
  setTimeout(() => {
    const usage = process.memoryUsage()
    live = Math.max(live, usage.heapUsed + usage.external)
    kept[turn++ % kept.length] = made[made.length - 1]
    done(bytes)
  }, 50)
}

net.createServer(socket => {
  socket.on('error', () => {})
  socket.once('data', data => {
    const word = data.toString().trim()
    if (word === 'live') socket.end(live + '\n')
    else work(Number(word), bytes => socket.end('done ' + bytes + '\n'))
  })
}).listen(Number(process.argv[2]), '127.0.0.1', 64)
