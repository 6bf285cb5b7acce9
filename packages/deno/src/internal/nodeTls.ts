/**
 * TLS over any stream, by `node:tls` of Deno over a stream of ours.
 *
 * `Deno.startTls` and `Deno.connectTls` are a little faster, but they know no server without verification, drop the client
 * certificate over a connection that is there already, trust a private authority beside all others, and go on with a
 * handshake that nobody wants any more. By itself `node:tls` of Deno 2.9 reads without end when nobody asks (256 MiB in
 * two seconds) and loses the end of a connection. Over a stream of ours it does neither: it gets ciphertext only while
 * somebody waits for plaintext.
 */
import type * as Endpoint from "@effect-k8s/core/Endpoint"
import * as Redacted from "effect/Redacted"
import { Duplex } from "node:stream"
import * as Tls from "node:tls"
import * as DuplexStream from "./duplexStream.ts"
import { type RawStream, release } from "./rawStream.ts"

/** What a connection over TLS is to be. */
export interface Options extends Pick<Endpoint.Tls, "ca" | "clientCertificate" | "serverName" | "insecureSkipVerify"> {
  /** The host to verify, unless `serverName` says otherwise. */
  readonly host: string
}

type Done = (error?: Error | null) => void

const toError = (cause: unknown): Error => cause instanceof Error ? cause : new Error(String(cause))

const pieceBytes = 64 * 1024

/** What makes ciphertext. Deno 2.9 asks it for more by this name. */
interface Maker {
  drainEncOut?: () => Uint8Array
}

/** The stream below TLS. */
class Ciphertext extends Duplex {
  readonly #stream: RawStream
  #wanted = false
  #reading = false
  #demand = true
  /** What TLS has made last, and whether a copy of it is written: it is the first time if it ever is. */
  #made: Uint8Array | undefined
  #copied: boolean | undefined
  /** Why writing failed. TLS is not told: it would give up what has arrived already. */
  writeError: Error | undefined

  constructor(stream: RawStream) {
    super({ allowHalfOpen: true })
    this.#stream = stream
  }

  /** Whether somebody waits for plaintext, or for the handshake. */
  set demand(demand: boolean) {
    this.#demand = demand
    this.#feed()
  }

  override _read(): void {
    this.#wanted = true
    this.#feed()
  }

  /** Has what TLS makes given back when it makes more. Deno writes a copy, at once, and nobody else has the original. */
  releaseMade(maker: Maker | undefined): void {
    const make = maker?.drainEncOut
    if (maker === undefined || make === undefined) return
    maker.drainEncOut = () => {
      if (this.#copied === true && this.#made !== undefined) release(this.#made)
      this.#made = make.call(maker)
      return this.#made
    }
  }

  #feed(): void {
    if (!this.#wanted || !this.#demand || this.#reading || this.destroyed) return
    this.#wanted = false
    this.#reading = true
    this.#stream.read().then(
      (bytes) => {
        this.#reading = false
        this.push(bytes)
        // When nothing waits TLS has it, and TLS has copied it.
        if (bytes !== null && this.readableLength === 0) this.#stream.giveBack?.(bytes)
        this.#feed()
      },
      (cause) => this.destroy(toError(cause))
    )
  }

  override _write(chunk: Uint8Array, _encoding: string, done: Done): void {
    this.#copied ??= this.#made !== undefined && this.#made.buffer !== chunk.buffer
    this.#attempt(async () => {
      await this.#stream.write(chunk)
      release(chunk)
    }, done)
  }

  override _final(done: Done): void {
    this.#attempt(() => this.#stream.closeWrite(), done)
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#stream.destroy()
    done(error)
  }

  #attempt(write: () => Promise<void>, done: Done): void {
    if (this.writeError !== undefined) return done()
    write().then(() => done(), (cause) => {
      this.writeError = toError(cause)
      done()
    })
  }
}

/**
 * Negotiates TLS with HTTP/1.1. The stream is destroyed when it fails, and with what is returned; destroying it ends a
 * negotiation.
 */
export const connect = (stream: RawStream, options: Options): Promise<RawStream> =>
  new Promise((resolve, reject) => {
    const below = new Ciphertext(stream)
    const duplex: Duplex = below
    const name = options.serverName ?? options.host
    const socket = Tls.connect({
      socket: duplex,
      // An address cannot be asked for, and Deno throws where it is to: it is verified by `host`.
      host: name,
      ...(isAddress(name) ? {} : { servername: name }),
      rejectUnauthorized: options.insecureSkipVerify !== true,
      ALPNProtocols: ["http/1.1"],
      ...(options.ca === undefined ? {} : { ca: options.ca }),
      ...(options.clientCertificate === undefined ? {} : {
        cert: options.clientCertificate.cert,
        key: Redacted.value(options.clientCertificate.key)
      })
    })
    below.releaseMade((socket as { readonly _handle?: Maker })._handle)
    socket.on("error", (cause) => {
      socket.destroy()
      below.destroy()
      reject(inWords(cause))
    })
    socket.on("close", () => reject(new Error("the connection was closed")))
    socket.on("secureConnect", () => resolve(plaintext(socket, below)))
  })

// Deno says the same of a certificate that is out of its time, and has closed the connection before it can be looked at.
const unverified = "UNABLE_TO_VERIFY_LEAF_SIGNATURE"

const inWords = (error: Error): Error => {
  if (!("code" in error) || error.code !== unverified) return error
  const words = `${error.message}: no authority that is trusted has signed it, or it has expired or is not valid yet`
  return Object.assign(new Error(words, { cause: error }), { code: unverified })
}

const isAddress = (host: string): boolean => host.includes(":") || /^\d+(?:\.\d+){3}$/.test(host)

/** The stream within TLS. */
const plaintext = (socket: Tls.TLSSocket, below: Ciphertext): RawStream => {
  const { write, ...stream } = DuplexStream.make(socket, {
    wanted: (wanted) => {
      below.demand = wanted
    },
    writeError: () => below.writeError
  })
  return {
    ...stream,
    // In pieces, because node:tls takes all that it is given at once. Of a write of nothing it never says that it is done.
    write: async (bytes) => {
      for (let from = 0; from < bytes.length; from += pieceBytes) await write(bytes.subarray(from, from + pieceBytes))
    },
    destroy: () => {
      socket.destroy()
      below.destroy()
    }
  }
}
