/**
 * A response that gives back what it holds when its body has been read, one way or the other.
 */
import * as Effect from "effect/Effect"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as Inspectable from "effect/Inspectable"
import { pipeArguments } from "effect/Pipeable"
import * as Stream from "effect/Stream"

type Response = HttpClientResponse.HttpClientResponse
type Body<A> = Effect.Effect<A, HttpClientError>

// Getters of a class, because clients wrap responses in prototypes of their own: what is not the body is the original's.
class ReleasingResponse extends Inspectable.Class implements Response {
  readonly [HttpClientResponse.TypeId]: Response[typeof HttpClientResponse.TypeId] = HttpClientResponse.TypeId
  readonly [HttpIncomingMessage.TypeId]: Response[typeof HttpIncomingMessage.TypeId] = HttpIncomingMessage.TypeId
  readonly request: HttpClientRequest
  readonly #original: Response
  readonly #release: Effect.Effect<void>

  constructor(original: Response, request: HttpClientRequest, release: Effect.Effect<void>) {
    super()
    this.request = request
    this.#original = original
    this.#release = release
  }

  get url(): string {
    return this.#original.url
  }
  get status(): number {
    return this.#original.status
  }
  get headers(): Response["headers"] {
    return this.#original.headers
  }
  get cookies(): Response["cookies"] {
    return this.#original.cookies
  }
  get remoteAddress(): Response["remoteAddress"] {
    return this.#original.remoteAddress
  }
  get upgrade(): Response["upgrade"] {
    return this.#original.upgrade
  }
  get stream(): Response["stream"] {
    return Stream.onExit(this.#original.stream, () => this.#release)
  }
  get json(): Response["json"] {
    return this.#whole(this.#original.json)
  }
  get text(): Response["text"] {
    return this.#whole(this.#original.text)
  }
  get urlParamsBody(): Response["urlParamsBody"] {
    return this.#whole(this.#original.urlParamsBody)
  }
  get arrayBuffer(): Response["arrayBuffer"] {
    return this.#whole(this.#original.arrayBuffer)
  }
  get formData(): Response["formData"] {
    return this.#whole(this.#original.formData)
  }

  toJSON(): unknown {
    return HttpIncomingMessage.inspect(this, {
      _id: "HttpClientResponse",
      request: this.request.toJSON(),
      status: this.status
    })
  }
  pipe(): unknown {
    return pipeArguments(this, arguments)
  }

  #whole<A>(body: Body<A>): Body<A> {
    return Effect.ensuring(body, this.#release)
  }
}

/**
 * The response to a request, which is shown without what was added to it on its way, and `release` after its body. Where
 * nobody reads the body, nothing is released.
 */
export const releasingResponse = (
  original: Response,
  request: HttpClientRequest,
  release: Effect.Effect<void>
): Response => new ReleasingResponse(original, request, release)
