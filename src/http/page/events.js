// The events of a stream, as `POST /llm/generate` sends them: a line of JSON each.

/** Reads a reply's body to its end, and gives its events one by one. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (let read; !(read = await reader.read()).done; ) {
    const lines = (rest + read.value).split('\n');
    rest = lines.pop();
    // The other lines are blank, or comments that keep the connection open.
    for (const line of lines) if (line.startsWith('data: ')) yield JSON.parse(line.slice(6));
  }
}
