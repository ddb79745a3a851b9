"""The dashboard of the models, in Streamlit: what is forecast, how good it is, what was decided and why.

It only reads. `queries` asks the database for no more than is drawn, `figures` draw, pages put together.
"""
