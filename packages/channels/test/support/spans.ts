/**
 * A tracer that keeps every span.
 */
import * as Tracer from "effect/Tracer"

/** A tracer, and the spans it has made, the first one first. */
export const collecting = (): { readonly spans: ReadonlyArray<Tracer.NativeSpan>; readonly tracer: Tracer.Tracer } => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, tracer }
}
