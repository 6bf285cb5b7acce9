import { assert, describe, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as ProxyTunnel from "../src/internal/proxyTunnel.ts"
import type { RawStream } from "../src/internal/rawStream.ts"

const encoder = new TextEncoder()
const bytes = (...parts: ReadonlyArray<number | string>): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => typeof part === "number" ? [part] : [...encoder.encode(part)]))

/** A peer that says all of it at once, or a byte at a time, and keeps what it is told. */
const scripted = (says: Uint8Array, atOnce: boolean): RawStream & { readonly told: () => Array<number> } => {
  const told: Array<number> = []
  let from = 0
  return {
    read: () => {
      if (from >= says.length) return Promise.resolve(null)
      const to = atOnce ? says.length : from + 1
      return Promise.resolve(says.slice(from, from = to))
    },
    write: (chunk) => {
      told.push(...chunk)
      return Promise.resolve()
    },
    closeWrite: () => Promise.resolve(),
    destroy: () => {},
    told: () => told
  }
}

const socks = { url: new URL("socks5://proxy:1080") }
const http = { url: new URL("http://proxy:3128") }
const accepted = [5, 0, 0, 1, 127, 0, 0, 1, 0, 80] as const

const text = async (stream: RawStream): Promise<string> => {
  let all = ""
  for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read()) {
    all += new TextDecoder().decode(chunk)
  }
  return all
}

describe.each([["at once", true], ["a byte at a time", false]] as const)("a proxy that speaks %s", (_, atOnce) => {
  for (
    const [host, address] of [
      ["10.1.2.3", [1, 10, 1, 2, 3]],
      ["a.test", [3, 6, "a.test"]],
      ["::1", [4, ...Array.from({ length: 15 }, () => 0), 1]],
      ["fd00:1::2:ff", [4, 0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0xff]],
      ["1:2:3:4:5:6:7:8", [4, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]]
    ] as const
  ) {
    it(`of SOCKS5 is asked for ${host}, and what follows is the server's`, async () => {
      const stream = scripted(bytes(5, 0, ...accepted, "early"), atOnce)
      const tunnel = await ProxyTunnel.open(stream, socks, { host, port: 6443 })
      assert.deepStrictEqual(stream.told(), [5, 1, 0, 5, 1, 0, ...bytes(...address), 0x19, 0x2b])
      assert.strictEqual(await text(tunnel), "early")
    })
  }

  it("of SOCKS5 is told the user and the password, and may answer with a name", async () => {
    const stream = scripted(bytes(5, 2, 1, 0, 5, 0, 0, 3, 3, "abc", 0, 80), atOnce)
    const proxy = { ...socks, username: "ü", password: Redacted.make("pw") }
    await ProxyTunnel.open(stream, proxy, { host: "a", port: 80 })
    assert.deepStrictEqual(stream.told(), [
      5,
      2,
      0,
      2,
      ...bytes(1, 2, "ü", 2, "pw"),
      ...bytes(5, 1, 0, 3, 1, "a", 0, 80)
    ])
  })

  for (
    const [name, says, message] of [
      ["wants a password", bytes(5, 0xff), /password/],
      ["speaks HTTP", bytes("HTTP/1.1 400 Bad Request\r\n\r\n"), /not SOCKS5/],
      ["is refused", bytes(5, 0, 5, 5, 0, 1, 0, 0, 0, 0, 0, 0), /connection was refused/],
      ["goes away", bytes(5, 0, 5), /ended/]
    ] as const
  ) {
    it(`of SOCKS5 that ${name} refuses, and says why`, async () => {
      const error = await ProxyTunnel.open(scripted(says, atOnce), socks, { host: "a", port: 80 }).then(
        () => undefined,
        (cause: unknown) => cause
      )
      assert.instanceOf(error, ProxyTunnel.Refusal)
      assert.match(error.message, message)
    })
  }

  it("of HTTP may send headers, a length that means nothing, and early bytes", async () => {
    const says = bytes("HTTP/1.1 200 Connection established\r\nVia: x\r\nContent-Length: 5\r\n\r\nearly")
    const stream = scripted(says, atOnce)
    const tunnel = await ProxyTunnel.open(stream, http, { host: "::1", port: 443 })
    assert.strictEqual(
      new TextDecoder().decode(Uint8Array.from(stream.told())),
      "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"
    )
    assert.strictEqual(await text(tunnel), "early")
  })

  it("of HTTP that refuses gives its status", async () => {
    const stream = scripted(bytes("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"), atOnce)
    const error = await ProxyTunnel.open(stream, http, { host: "a", port: 443 }).catch((cause: unknown) => cause)
    assert.instanceOf(error, ProxyTunnel.Refusal)
    assert.strictEqual(error.status, 407)
  })
})
