"""The Go template language, whole, and the prompts that chat templates make with it.

Nothing is imported here, since who only wants to accept or refuse a text needs a small part:

- :mod:`~mbuild.compiler.template.reading`: a chat template's text → its tree, or BadTemplate,
- :mod:`~mbuild.compiler.template.capabilities`: what a tree can do: tools, thinking, insert,
- :mod:`~mbuild.compiler.template.prompt`: messages → the text that the model is sent,
- :mod:`~mbuild.compiler.template.wire`: messages and tools from JSON,
- :mod:`~mbuild.compiler.template.provenance`: where each piece of a rendering came from.

Below them is the language itself: ``lexer`` → ``parser`` → ``tree`` → ``compile`` → ``running``.
"""
