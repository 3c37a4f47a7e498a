"""LangChain's client of OpenAI's API, which puts messages together in its own way."""

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from checks import BASE_URL, EXPECTED, FUNCTIONS, HELLO, MODEL, TOOLS, equal, run, vector

# Some models are asked in another dialect when there are tools; then there always are.
model = ChatOpenAI(model=MODEL, base_url=BASE_URL, use_responses_api=False)
with_tools = model.bind_tools(TOOLS)
asked = with_tools if EXPECTED["tools_always"] else model


def chat():
    equal(asked.invoke("hello").text, HELLO, "text")


def stream():
    equal("".join(chunk.text for chunk in asked.stream("hello")), HELLO, "text")


def whole_turn(messages):
    return with_tools.invoke(messages)


def streamed_turn(messages):
    chunks = list(with_tools.stream(messages))
    return sum(chunks[1:], chunks[0])


def tools(turn):
    """Two calls at once, an answer, one more call, an answer."""
    messages = [SystemMessage("Be brief.")]
    for question in ["weather", "later"]:
        messages.append(HumanMessage(question))
        messages.append(turn(messages))
        for call in messages[-1].tool_calls:
            messages.append(ToolMessage(FUNCTIONS[call["name"]](**call["args"]), tool_call_id=call["id"]))
        messages.append(turn(messages))
    return [normal(message) for message in messages]


def normal(message):
    roles = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}
    seen = {"role": roles.get(message.type, message.type), "content": message.text}
    if getattr(message, "tool_calls", None):
        seen["calls"] = [[call["name"], call["args"]] for call in message.tool_calls]
    return seen


def embeddings():
    """It sends numbers in place of text, unless it is told not to."""
    if EXPECTED["embedding_model"]:
        client = OpenAIEmbeddings(model=EXPECTED["embedding_model"], base_url=BASE_URL, check_embedding_ctx_length=False)
        equal(client.embed_documents(["Tōkyō", "Paris"]), [vector("Tōkyō"), vector("Paris")], "vectors")


run({
    "chat": chat,
    "stream": stream,
    "tools": lambda: tools(whole_turn),
    "tools streamed": lambda: tools(streamed_turn),
    "embeddings": embeddings,
})
