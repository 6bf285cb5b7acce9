import * as Multiplexer from "@effect-k8s/testing/conformance/Multiplexer"
import { afterEach, assert, describe, it } from "@effect/vitest"
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import * as Net from "node:net"
import { type Duplex, duplexPair } from "node:stream"

const open: Array<{ readonly destroy: () => unknown }> = []
afterEach(() => {
  for (const one of open.splice(0)) one.destroy()
})

/** Two sides on a real connection; the far one does this with each stream. */
const sides = async (accept: (target: string, stream: Duplex) => void) => {
  const server = Net.createServer()
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  const far = Net.connect(typeof address === "object" && address !== null ? address.port : 0, "127.0.0.1")
  const [near] = await once(server, "connection") as [Net.Socket]
  server.close()
  open.push(near, far)
  const agent = Multiplexer.make(far, accept)
  return { near, far, agent, mux: Multiplexer.make(near) }
}

const echo = (_target: string, stream: Duplex): void => void stream.pipe(stream)

const readAll = (stream: Duplex): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const chunks: Array<Buffer> = []
    stream.on("data", (chunk: Buffer) => chunks.push(chunk))
    stream.on("end", () => resolve(Buffer.concat(chunks)))
    stream.on("error", reject)
  })

const hash = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex")

describe("a multiplexer", () => {
  it("carries many streams both ways at once, unchanged, each to its own end", async () => {
    const targets: Array<string> = []
    const { mux } = await sides((target, stream) => {
      targets.push(target)
      echo(target, stream)
    })
    await Promise.all(Array.from({ length: 20 }, async (_, i) => {
      const data = randomBytes(1 + i * 150_000)
      const stream = mux.open(`target ${i}`)
      stream.end(data)
      assert.strictEqual(hash(await readAll(stream)), hash(data))
    }))
    assert.deepStrictEqual(targets, Array.from({ length: 20 }, (_, i) => `target ${i}`))
  })

  it("understands frames that arrive in pieces of any size", async () => {
    const [left, right] = duplexPair()
    open.push(left, right)
    let pieces = 0
    Multiplexer.make(right, echo)
    right.on("data", () => pieces++)
    const write = left.write.bind(left)
    const inPieces = (frame: Buffer, done: (error?: Error | null) => void): boolean => {
      for (let i = 0; i < frame.length - 1; i++) write(frame.subarray(i, i + 1))
      return write(frame.subarray(-1), done)
    }
    Object.assign(left, { write: inPieces })
    const stream = Multiplexer.make(left).open("x")
    stream.end("a few bytes")
    assert.strictEqual((await readAll(stream)).toString(), "a few bytes")
    assert.isAtLeast(pieces, 9 + 1 + 9 + 11)
  })

  it("lets one direction end while the other goes on", async () => {
    const { mux } = await sides((_target, stream) => {
      void readAll(stream).then((request) => stream.end(`answer to ${request.toString()}`))
    })
    const stream = mux.open("x")
    stream.end("request")
    assert.strictEqual((await readAll(stream)).toString(), "answer to request")
  })

  it("holds back a stream that nobody reads, and no other", async () => {
    let taken = 0
    const { mux } = await sides((target, stream) => {
      if (target !== "flood") return echo(target, stream)
      const more = (): void => {
        taken += 65_536
        stream.write(Buffer.alloc(65_536), () => setImmediate(more))
      }
      more()
    })
    mux.open("flood")
    const other = mux.open("other")
    other.end(randomBytes(3_000_000))
    assert.strictEqual((await readAll(other)).length, 3_000_000)
    assert.isAtMost(taken, 4 * 256 * 1024)
  })

  it("tells the other side of a stream that was destroyed", async () => {
    const ended: Array<Error | undefined> = []
    const { mux } = await sides((_target, stream) => {
      stream.on("error", (error) => ended.push(error))
      stream.resume()
    })
    const stream = mux.open("x")
    stream.write("x")
    setTimeout(() => stream.destroy(), 10)
    while (ended.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    assert.include(ended[0]?.message, "reset")
  })

  it("ends every stream with the connection: in order after a FIN, with an error after a reset", async () => {
    for (const how of ["fin", "reset"] as const) {
      const { far, mux } = await sides(() => {})
      const streams = [mux.open("a"), mux.open("b")]
      const ends = streams.map((stream) =>
        readAll(stream).then(() => "end", (error: Error) => (error as NodeJS.ErrnoException).code)
      )
      await new Promise((resolve) => setTimeout(resolve, 20))
      if (how === "fin") far.destroySoon()
      else far.resetAndDestroy()
      assert.deepStrictEqual(await Promise.all(ends), how === "fin" ? ["end", "end"] : ["ECONNRESET", "ECONNRESET"])
    }
  })

  it("passes nothing on once it is silenced, and ends nothing", async () => {
    const { agent, mux } = await sides(echo)
    const stream = mux.open("x")
    const read: Array<string> = []
    stream.on("data", (chunk: Buffer) => read.push(chunk.toString()))
    stream.write("before")
    await once(stream, "data")
    mux.silence()
    agent.silence()
    stream.write("after")
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.deepStrictEqual(read, ["before"])
    assert.isFalse(stream.destroyed)
  })
})
