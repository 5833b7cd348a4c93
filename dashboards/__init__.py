"""Streamlit pages over the same figures as the report."""
