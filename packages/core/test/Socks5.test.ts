import * as Endpoint from "@effect-k8s/core/Endpoint"
import { Negotiation, type Step } from "@effect-k8s/core/Socks5"
import { assert, describe, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"

const encoder = new TextEncoder()
const bytes = (...parts: ReadonlyArray<number | string>): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => typeof part === "number" ? [part] : [...encoder.encode(part)]))

const url = new URL("socks5://proxy:1080")
const jane = { url, username: "jané", password: Redacted.make("hunter2") }
const secret = bytes(1, 5, "jané", 7, "hunter2")
const at = { host: "a.test", port: 6443 }
const request = bytes(5, 1, 0, 3, 6, "a.test", 0x19, 0x2b)
const accepted = bytes(5, 0, 0, 1, 127, 0, 0, 1, 0, 80)

interface Run {
  readonly sent: ReadonlyArray<number>
  /** Without what it sends. */
  readonly last: Step
}

/** Pushes all of it in chunks of a size; what comes after the last step is the server's. */
const run = (negotiation: Negotiation, says: Uint8Array, size: number): Run => {
  const sent: Array<number> = []
  let last = negotiation.start()
  sent.push(...last.send)
  let from = 0
  for (; last._tag === "Pending" && from < says.length; from += size) {
    last = negotiation.push(says.slice(from, from + size))
    sent.push(...last.send)
  }
  const rest = last._tag === "Open" ? { rest: bytes(...last.rest, ...says.slice(from)) } : {}
  return { sent, last: { ...last, ...rest, send: bytes() } }
}

const why = (proxy: typeof jane | { readonly url: URL }, says: Uint8Array, address = at): string => {
  const whole = run(new Negotiation(proxy, address), says, says.length).last
  const cut = run(new Negotiation(proxy, address), says, 1).last
  assert.deepStrictEqual(whole, cut)
  return whole._tag === "Refused" ? whole.why : whole._tag
}

const long = "x".repeat(256)

it("a proxy of SOCKS5 without a port has that of the standard", () => {
  assert.deepStrictEqual(Endpoint.address({ url: new URL("socks5://[::1]") }), { host: "::1", port: 1080 })
})

describe("a negotiation of SOCKS5", () => {
  const answers = [
    ["an IPv4 address", accepted],
    ["an IPv6 address", bytes(5, 0, 0, 4, ...Array.from({ length: 16 }, () => 0), 0, 80)],
    ["a name", bytes(5, 0, 0, 3, 3, "abc", 0, 80)],
    ["an empty name", bytes(5, 0, 0, 3, 0, 0, 80)]
  ] as const

  for (const [name, answer] of answers) {
    it(`is open after an answer with ${name}, and loses no early byte, however it is cut`, () => {
      const says = bytes(5, 2, 1, 0, ...answer, "early")
      for (let size = 1; size <= says.length; size++) {
        const { last, sent } = run(new Negotiation(jane, at), says, size)
        assert.deepStrictEqual(last, { _tag: "Open", send: bytes(), rest: bytes("early") } satisfies Step, String(size))
        assert.deepStrictEqual(sent, [5, 2, 0, 2, ...secret, ...request])
      }
    })
  }

  for (
    const [host, address] of [
      ["10.1.2.3", [1, 10, 1, 2, 3]],
      ["a.test", [3, 6, "a.test"]],
      ["1.2.3", [3, 5, "1.2.3"]],
      ["::1", [4, ...Array.from({ length: 15 }, () => 0), 1]],
      ["fd00:1::2:ff", [4, 0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0xff]],
      ["1:2:3:4:5:6:7:8", [4, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]],
      ["::ffff:1.2.3.4", [4, ...Array.from({ length: 10 }, () => 0), 255, 255, 1, 2, 3, 4]]
    ] as const
  ) {
    it(`asks for ${host} as what it is`, () => {
      const { sent } = run(new Negotiation({ url }, { host, port: 65535 }), bytes(5, 0), 2)
      assert.deepStrictEqual(sent, [5, 1, 0, 5, 1, 0, ...bytes(...address), 255, 255])
    })
  }

  it("tells no password to a proxy that wants none", () => {
    const { last, sent } = run(new Negotiation(jane, at), bytes(5, 0, ...accepted), 1)
    assert.strictEqual(last._tag, "Open")
    assert.deepStrictEqual(sent, [5, 2, 0, 2, ...request])
  })

  it("waits for more where an answer is not whole", () => {
    const says = bytes(5, 2, 1, 0, ...accepted)
    for (let length = 0; length < says.length; length++) {
      assert.strictEqual(run(new Negotiation(jane, at), says.slice(0, length), 1).last._tag, "Pending")
    }
  })

  it("says why it was refused", () => {
    const refusals = [
      [{ url }, bytes(5, 0xff), /^it wants a user and a password, or another way/],
      [{ url }, bytes(5, 2), /^it chose the method 2, which was not offered$/],
      [jane, bytes(5, 0xff), /^it wants another way to say who asks/],
      [jane, bytes(5, 1), /^it chose the method 1, which was not offered$/],
      [jane, bytes(5, 2, 1, 1), /^it does not accept the user and password$/],
      [{ url }, bytes(4, 0), /^the answer was not SOCKS5$/],
      [{ url }, bytes("HTTP/1.1 400 Bad Request"), /HTTP, not SOCKS5: its proxy-url begins with http:/],
      [{ url }, bytes(5, 0, 4, 0), /^the answer was not SOCKS5$/],
      [{ url }, bytes(5, 0, 5, 0, 0, 2), /^it answered with an address of the type 2/]
    ] as const
    for (const [proxy, says, words] of refusals) assert.match(why(proxy, says), words)
  })

  it("says what each reply means, to the proxy's last byte or before", () => {
    const words = [1, 2, 3, 4, 5, 6, 7, 8, 9, 255].map((reply) => why({ url }, bytes(5, 0, 5, reply)))
    assert.deepStrictEqual(words, [
      "it did not connect to a.test:6443: the proxy failed",
      "it did not connect to a.test:6443: its rules do not allow it",
      "it did not connect to a.test:6443: the network cannot be reached",
      "it did not connect to a.test:6443: the host cannot be reached, or its name is not known there",
      "it did not connect to a.test:6443: the connection was refused",
      "it did not connect to a.test:6443: the time to live has expired",
      "it did not connect to a.test:6443: the proxy does not know the command CONNECT",
      "it did not connect to a.test:6443: the proxy does not know this type of address",
      "it did not connect to a.test:6443: it answered with the code 9",
      "it did not connect to a.test:6443: it answered with the code 255"
    ])
    assert.match(why({ url }, bytes(5, 0, 5, 5, 0, 1), { host: "::1", port: 443 }), /connect to \[::1\]:443:/)
  })

  it("sends nothing of what SOCKS5 has no form for, and shows no secret", () => {
    const without = [
      [{ ...jane, username: long }, at, "SOCKS5 takes no user name of more than 255 bytes"],
      [{ ...jane, password: Redacted.make(long) }, at, "SOCKS5 takes no password of more than 255 bytes"],
      [{ ...jane, username: "" }, at, "SOCKS5 takes no password without a user name"],
      [{ url }, { host: long, port: 1 }, "SOCKS5 takes no host name of more than 255 bytes"]
    ] as const
    for (const [proxy, address, words] of without) {
      assert.deepStrictEqual(new Negotiation(proxy, address).start(), { _tag: "Refused", send: bytes(), why: words })
    }
    const { sent } = run(new Negotiation({ url, username: "jane" }, at), bytes(5, 2), 2)
    assert.deepStrictEqual(sent.slice(4), [...bytes(1, 4, "jane", 0)])
  })
})
