/**
 * Who is asking: the authorisation of each request, and the TLS identity of each connection.
 *
 * A seam of its own, because credentials expire while clients live: a token file is read again, a plugin is asked
 * again, a certificate is renewed. `KubeClient` asks for the identity before each connection and for the headers before
 * each request, on every channel.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import * as Semaphore from "effect/Semaphore"
import type { ClientCertificate } from "./Endpoint.ts"
import * as Pem from "./internal/pem.ts"

/** Credentials could not be had: a token file is gone, a plugin failed. */
export class CredentialsError extends Data.TaggedError("CredentialsError")<{
  /** What was tried, and what to do about it. Holds no secret. */
  readonly description: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return this.description
  }
}

/**
 * The TLS identity of new connections. A greater `generation` means newer material: connections made before stay as they
 * are.
 */
export interface Identity {
  readonly generation: number
  readonly clientCertificate?: ClientCertificate | undefined
}

/** Authorises the requests of one client. */
export class Credentials extends Context.Service<Credentials, {
  /** Adds the headers that say who is asking. */
  readonly authorize: (
    request: HttpClientRequest.HttpClientRequest
  ) => Effect.Effect<HttpClientRequest.HttpClientRequest, CredentialsError>
  /** The server answered 401: forget what is cached. `true` when another try can give other credentials. */
  readonly invalidate: Effect.Effect<boolean>
  readonly identity: Effect.Effect<Identity, CredentialsError>
}>()("@effect-k8s/core/Credentials") {}

/** Acts as another user (`Impersonate-*` headers). Groups, uid and extra need a user. */
export interface Impersonation {
  readonly user: string
  readonly uid?: string | undefined
  readonly groups?: ReadonlyArray<string> | undefined
  readonly extra?: Readonly<Record<string, ReadonlyArray<string>>> | undefined
}

/** What `make` takes. A token wins over basic credentials, as in client-go. */
export interface Options {
  readonly token?: Redacted.Redacted | undefined
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted | undefined
  readonly clientCertificate?: ClientCertificate | undefined
  readonly impersonate?: Impersonation | undefined
}

const encoder = new TextEncoder()

// Header values are bytes, one a character, and adapters send them so. These are the bytes of UTF-8, as kubectl sends:
// otherwise one runtime would refuse a name, and another send that of somebody else.
const byteString = (value: string): string =>
  Array.from(encoder.encode(value), (byte) => String.fromCharCode(byte)).join("")

// Bytes that a header name may not hold, and `%` itself, are percent-encoded; keys compare in lower case.
const encodeExtraKey = (key: string): string =>
  Array.from(
    encoder.encode(key.toLowerCase()),
    (byte) => {
      const char = String.fromCharCode(byte)
      return /[a-z0-9!#$&'*+.^_`|~-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
    }
  ).join("")

const impersonationHeaders = (impersonate: Impersonation | undefined): Record<string, string> => {
  if (impersonate === undefined) return {}
  const lines = (values: ReadonlyArray<string>): string => values.map(byteString).join("\n")
  const headers: Record<string, string> = { "impersonate-user": byteString(impersonate.user) }
  if (impersonate.uid !== undefined) headers["impersonate-uid"] = byteString(impersonate.uid)
  if (impersonate.groups !== undefined && impersonate.groups.length > 0) {
    headers["impersonate-group"] = lines(impersonate.groups)
  }
  for (const [key, values] of Object.entries(impersonate.extra ?? {})) {
    if (values.length > 0) headers[`impersonate-extra-${encodeExtraKey(key)}`] = lines(values)
  }
  return headers
}

// A line feed in a header value is where the transport begins another header of the same name: in a value of ours it
// would add a group, or a second authorization. Other control characters no header can hold, and half of a surrogate pair
// UTF-8 cannot: it would become another character, and so another name.
const canBeSent = (value: string): boolean => !/(?![\t\u0080-\u009f])\p{Cc}/u.test(value) && value.isWellFormed()

const notSent = "contains a character that cannot be sent (a line break, another control character, or half of one)"

const authorizeWith = (options: Options): Credentials["Service"]["authorize"] => {
  const { impersonate, password, token, username } = options
  const headers = impersonationHeaders(impersonate)
  const values = [
    impersonate?.user ?? "",
    impersonate?.uid ?? "",
    ...(impersonate?.groups ?? []),
    ...Object.values(impersonate?.extra ?? {}).flat()
  ]
  if (!values.every(canBeSent)) {
    return () => Effect.fail(new CredentialsError({ description: `a value to impersonate ${notSent}` }))
  }
  if (token !== undefined && !canBeSent(Redacted.value(token))) {
    return () => Effect.fail(new CredentialsError({ description: `the bearer token ${notSent}` }))
  }
  const bearer = token && Redacted.make(byteString(Redacted.value(token)))
  return (request) => {
    if (bearer !== undefined) request = HttpClientRequest.bearerToken(request, bearer)
    else if (username !== undefined) {
      request = HttpClientRequest.basicAuth(request, username, password ?? Redacted.make(""))
    }
    return Effect.succeed(impersonate === undefined ? request : HttpClientRequest.setHeaders(request, headers))
  }
}

/**
 * Credentials that never change.
 *
 * @example
 * ```ts
 * import * as Credentials from "@effect-k8s/core/Credentials"
 * import * as Redacted from "effect/Redacted"
 *
 * const credentials = Credentials.make({ token: Redacted.make("a-token"), impersonate: { user: "jane" } })
 * ```
 */
export const make = (options: Options = {}): Credentials["Service"] =>
  Credentials.of({
    authorize: authorizeWith(options),
    invalidate: Effect.succeed(false),
    identity: Effect.succeed({ generation: 0, clientCertificate: options.clientCertificate })
  })

// What renews tokens and certificates does so well before they expire; client-go reads token files again at most once a
// minute.
const fileTtlMillis = 60_000

/**
 * What files hold that are replaced from time to time: read when it is asked for, once a minute, and after a refusal. What
 * was read last serves while it cannot be read, unless a refusal is of that itself, which `isForgotten` then says.
 */
const rereading = <A>(
  read: (last: A | undefined) => Effect.Effect<A, CredentialsError>,
  { isForgotten }: { readonly isForgotten: boolean }
) => {
  let last: { readonly value: A } | undefined
  let readAt: number | undefined
  // What was being read while a request was refused may be what was refused: nobody may get it who asks after that.
  let refusals = 0
  const current = Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const previous = last
    if (previous !== undefined && readAt !== undefined && now - readAt < fileTtlMillis) return previous.value
    const refusalsBefore = refusals
    return yield* read(previous?.value).pipe(
      Effect.map((value) => {
        const isRefused = refusals !== refusalsBefore
        if (!isRefused || !isForgotten) last = { value }
        if (!isRefused) readAt = now
        return value
      }),
      Effect.catch((error) => previous === undefined ? Effect.fail(error) : Effect.succeed(previous.value))
    )
  })
  // Also when another request has just done so: the files may not have been read again yet.
  const refused = Effect.sync(() => {
    if (isForgotten) last = undefined
    readAt = undefined
    refusals++
    return true
  })
  return { current, refused }
}

/**
 * A bearer token from a file, read again once a minute and after a 401.
 *
 * Fails with `CredentialsError` at a request when the file cannot be read and no earlier token is known.
 */
export const fromTokenFile = Effect.fnUntraced(function*(
  path: string,
  options: Omit<Options, "token"> = {}
): Effect.fn.Return<Credentials["Service"], never, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const unusable = (what: string, cause?: unknown): CredentialsError =>
    new CredentialsError({
      description: `the token file ${path} ${what}; check that it exists and that this process may read it`,
      cause
    })
  const { current, refused } = rereading(() =>
    fs.readFileString(path).pipe(
      Effect.mapError((cause) => unusable("could not be read", cause)),
      Effect.map((text) => text.trim()),
      Effect.filterOrFail((token) => token !== "", () => unusable("is empty")),
      Effect.map((token) => authorizeWith({ ...options, token: Redacted.make(token) }))
    ), { isForgotten: true })

  return Credentials.of({
    authorize: (request) => Effect.flatMap(current, (authorize) => authorize(request)),
    invalidate: refused,
    identity: Effect.succeed({ generation: 0, clientCertificate: options.clientCertificate })
  })
})

/** The files of a client certificate, PEM each; one file may hold both. */
export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

/**
 * The credentials with the client certificate of files, read again once a minute and after a 401. New connections present
 * what the files hold then; those that are there stay as they are.
 *
 * While a file cannot be read, or the certificate is of another key (it was replaced, its key not yet), the pair before
 * is presented. `identity` fails with `CredentialsError` when the files cannot be read and no earlier pair is known.
 */
export const withCertificateFiles = Effect.fnUntraced(function*(
  credentials: Credentials["Service"],
  files: CertificateFiles
): Effect.fn.Return<Credentials["Service"], never, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  // Of two that read at once, the one that has read the older pair could be the later.
  const reading = yield* Semaphore.make(1)
  const unusable = (path: string, what: string, cause?: unknown): CredentialsError =>
    new CredentialsError({
      description:
        `the file ${path} of the client certificate ${what}; check what it holds, and that this process may read it`,
      cause
    })
  const read = (path: string) =>
    Effect.mapError(fs.readFileString(path), (cause) => unusable(path, "could not be read", cause))
  const check = (path: string, text: string, kind: Pem.Kind) =>
    Pem.holds(text, kind) ? Effect.void : Effect.fail(unusable(path, `has no PEM block of the kind ${kind}`))
  const readPair = Effect.gen(function*() {
    const cert = yield* read(files.cert)
    // One file of both is read once: between two readings it may be replaced.
    const key = files.key === files.cert ? cert : yield* read(files.key)
    yield* check(files.cert, cert, "CERTIFICATE")
    yield* check(files.key, key, "PRIVATE KEY")
    return { cert, key }
  })

  const { current, refused } = rereading<{ readonly pair: CertificateFiles; readonly identity: Identity }>(
    (last) => {
      const isUnchanged = ({ cert, key }: CertificateFiles): boolean =>
        cert === last?.pair.cert && key === last.pair.key
      return readPair.pipe(
        Effect.filterOrFail(
          (pair) => last === undefined || isUnchanged(pair) || Pem.belongTogether(pair),
          () => unusable(files.cert, `is of another key than that of ${files.key}`)
        ),
        Effect.map((pair) =>
          last !== undefined && isUnchanged(pair) ? last : {
            pair,
            identity: {
              generation: last === undefined ? 0 : last.identity.generation + 1,
              clientCertificate: { cert: pair.cert, key: Redacted.make(pair.key) }
            }
          }
        )
      )
    },
    { isForgotten: false }
  )

  return Credentials.of({
    authorize: credentials.authorize,
    invalidate: Effect.andThen(credentials.invalidate, refused),
    identity: Semaphore.withPermit(reading, Effect.map(current, ({ identity }) => identity))
  })
})
