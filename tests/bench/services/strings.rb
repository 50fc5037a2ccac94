# A service in Ruby: each request builds strings and keeps a few of them.
#   ruby strings.rb PORT
# A connection is one request: a line with the number of strings; the answer is a line.  "live" is answered with the
# highest sum of bytes of the strings of all requests under way.
require 'socket'

kept = []
live = 0
under_way = 0
lock = Mutex.new
server = TCPServer.new('127.0.0.1', Integer(ARGV[0]))
server.listen(64)
loop do
  Thread.new(server.accept) do |socket|
    word = socket.gets.to_s.strip
    if word == 'live'
      socket.puts(live)
    else
      made = Array.new(word.to_i) { |i| 'x' * (500 + i * 7919 % 30_000) }
      bytes = made.sum(&:bytesize)
      lock.synchronize { live = [live, under_way += bytes].max }
      kept << made[0]
      kept.shift if kept.size > 64
      socket.puts("done #{bytes}")
      lock.synchronize { under_way -= bytes }
    end
    socket.close
  rescue SystemCallError
    nil
  end
end
